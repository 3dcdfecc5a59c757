"""One grader for the whole process, which remembers its grades.

It is started when first needed and closed at exit.

Feedback between turns and the score of a match ask about the same programs. Infrastructure failures are not
remembered.
"""

import atexit
import os
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache

from league.sandbox.pool import Grader
from league.sandbox.values import CodeGrader, Grade, Job, Limits

REMEMBERED = 20_000
LIMITS = Limits(cpu_s=2.0, wall_s=8.0, memory_mb=256)
"""Of answers in training: most wrong ones are found at once, and loops must not hold up the round."""


class RememberingGrader:
    """Grades each distinct job once; keeps the newest `size` grades."""

    def __init__(self, grader: CodeGrader, size: int = REMEMBERED):
        self.grader = grader
        self.size = size
        self._known: OrderedDict[Job, Grade] = OrderedDict()

    def grade(self, jobs: Sequence[Job]) -> list[Grade]:
        new = [job for job in dict.fromkeys(jobs) if job not in self._known]
        fresh = dict(zip(new, self.grader.grade(new), strict=True)) if new else {}
        grades = [fresh[job] if job in fresh else self._known[job] for job in jobs]
        for job, grade in zip(jobs, grades, strict=True):
            if grade.verdict != "infra":
                self._known[job] = grade
                self._known.move_to_end(job)
        while len(self._known) > self.size:
            self._known.popitem(last=False)
        return grades


@cache
def shared_grader() -> RememberingGrader:
    """The process's own grader.

    Raises Unconfined on first use where model-written code cannot be confined.
    """
    grader = Grader(workers=os.cpu_count() or 1, limits=LIMITS)
    grader.start()
    atexit.register(grader.close)
    return RememberingGrader(grader)
