"""`league grade PROBLEMS SAMPLES`: grade model-written code without letting it near its tests."""

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from league.sandbox.humaneval import Completion
    from league.sandbox.values import Grade


def grade(
    problems: Annotated[
        Path, typer.Argument(help="HumanEval problems: JSON lines of task_id, prompt, entry_point, test (.gz allowed).")
    ],
    samples: Annotated[
        Path,
        typer.Argument(
            help="Answers: JSON lines of task_id, completion (a body or a program) or solution (a program)."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line per sample, in order.")] = False,
    workers: Annotated[int, typer.Option(min=0, help="Judges at work at once; 0 means up to one per CPU.")] = 0,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="CPU seconds one answer may use, from its definition to its last call.")
    ] = 3.0,
    wall: Annotated[
        float,
        typer.Option(min=0.1, help="Wall seconds one answer may take, whatever it waits for; then it has failed."),
    ] = 10.0,
    memory: Annotated[int, typer.Option(min=16, help="Memory one answer may use, in MiB.")] = 512,
    allow_unconfined: Annotated[
        bool,
        typer.Option(
            "--allow-unconfined", help="Grade even where neither namespaces nor Landlock and seccomp confine the code."
        ),
    ] = False,
) -> None:
    """Grade model-written code against HumanEval-style tests.

    Prints pass, fail or infra for every sample.
    """
    from league.sandbox.humaneval import read_problems, read_samples
    from league.sandbox.pool import Grader, Job
    from league.sandbox.values import Limits

    table = read_problems(problems)
    answers = read_samples(samples, table)
    limits = Limits(cpu_s=timeout, wall_s=wall, memory_mb=memory)
    jobs = [Job(table[answer.task_id], answer.completion, program=answer.program) for answer in answers]
    enough = 1 + len(jobs) // 16  # a judge costs as much as a dozen answers
    _warn_of_workers(min(workers, len(jobs)))
    with Grader(workers or min(_cores(), enough), limits, allow_unconfined) as grader:
        grades = grader.grade(jobs)
    if as_json:
        for index, (answer, result) in enumerate(zip(answers, grades, strict=True)):
            print(json.dumps(_line(index, answer, result)))
    else:
        _print_table(answers, grades)


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _warn_of_workers(workers: int) -> None:
    """More judges than cores share them, so that waiting for a core counts as an answer's time."""
    cores = _cores()
    if workers > cores:
        what = "core" if cores == 1 else "cores"
        typer.echo(
            f"{workers} workers share {cores} {what}: an honest answer may run into --wall for want of one; "
            f"--workers {cores} or fewer, or a longer --wall, avoids it",
            err=True,
        )


def _line(index: int, answer: "Completion", result: "Grade") -> dict[str, object]:
    return {
        "task_id": answer.task_id,
        "index": index,
        "verdict": result.verdict,
        "reason": "; ".join([result.reason, *(sign for sign in result.signs if sign not in result.reason)]),
        "suspect": result.suspect,
        "confinement": result.confinement,
    }


def _print_table(answers: "list[Completion]", grades: "list[Grade]") -> None:
    for index, (answer, result) in enumerate(zip(answers, grades, strict=True)):
        mark = "  suspect: " + "; ".join(result.signs) if result.suspect else ""
        name = "".join(c if c.isprintable() else "?" for c in answer.task_id)  # a terminal obeys control characters
        print(f"{index:>6}  {name:<20} {result.verdict:<6} {result.reason}{mark}")
    counts = Counter(result.verdict for result in grades)
    judged = counts["pass"] + counts["fail"]
    share = f", {counts['pass'] / judged:.1%} of the judged" if judged else ""
    levels = ", ".join(sorted({result.confinement for result in grades})) or "nothing to confine"
    suspects = sum(result.suspect for result in grades)
    print(
        f"{counts['pass']} passed{share}; {counts['fail']} failed; {counts['infra']} infra; "
        f"{suspects} suspect; confinement: {levels}"
    )
