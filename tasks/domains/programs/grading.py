"""Whether programs pass their hidden tests, told by the sandbox (league/sandbox).

Right means that every test passes and that nothing looks like an attack on the grader. A failure of the grader itself
is no verdict: it raises Unjudged, and the match does not count. The process's grader remembers its grades by problem
and program, so programs that are judged together beforehand are not run again.
"""

import json
from collections.abc import Iterable

from league.errors import Unjudged
from league.sandbox.values import CodeGrader, CodeProblem, Grade, Job
from league.types import Problem
from tasks.domains.programs.replies import program_of


def hidden_of(problem: CodeProblem) -> str:
    """What the grader needs, as a problem's `hidden` text."""
    return json.dumps(
        {
            "task_id": problem.task_id,
            "prompt": problem.prompt,
            "entry_point": problem.entry_point,
            "test": problem.test,
        }
    )


def code_problem_of(problem: Problem) -> CodeProblem:
    """What `hidden_of` kept."""
    kept = json.loads(problem.hidden)
    return CodeProblem(kept["task_id"], kept["prompt"], kept["entry_point"], kept["test"])


def job_of(problem: Problem, reply: str) -> Job | None:
    """What to run for a reply; None where it holds no program."""
    tested = code_problem_of(problem)
    program = program_of(reply, tested.entry_point)
    return None if program is None else Job(tested, program, program=True)


def judge(problem: Problem, reply: str, grader: CodeGrader | None = None) -> Grade | None:
    """The grade of a reply; None where it holds no program. `grader`: None is the process's own.

    Raises Unjudged where the grader or the tests failed.
    """
    job = job_of(problem, reply)
    if job is None:
        return None
    (grade,) = (grader or shared()).grade([job])
    if grade.verdict == "infra":
        raise Unjudged(f"problem {problem.key}: no verdict on a program: {grade.reason}")
    return grade


def passes(grade: Grade | None) -> bool:
    """Whether a reply with this grade is right."""
    return grade is not None and grade.verdict == "pass" and not grade.suspect


def judge_together(answers: Iterable[tuple[Problem, str]], grader: CodeGrader | None = None) -> None:
    """Have many replies judged at once, so that `judge` finds their grades remembered."""
    jobs = [job for problem, reply in answers if (job := job_of(problem, reply)) is not None]
    if jobs:
        (grader or shared()).grade(list(dict.fromkeys(jobs)))


def why(problem: Problem, reply: str, grader: CodeGrader | None = None) -> str:
    """One sentence on the verdict of a reply. Raises Unjudged."""
    wanted = code_problem_of(problem).entry_point
    grade = judge(problem, reply, grader)
    if grade is None:
        return f"no program was found: the reply must define `{wanted}` once, in a fenced block or by itself"
    if passes(grade):
        return "every hidden test passes"
    return f"{'; '.join(dict.fromkeys([grade.reason, *grade.signs]))} ({'suspect' if grade.suspect else 'fail'})"


def shared() -> CodeGrader:
    """The process's own grader, started when first needed. Raises Unconfined."""
    from league.sandbox.shared import shared_grader

    return shared_grader()
