"""One match, or one exam, of chosen versions of a run, for people.

Greedy, on held-out problems, and not stored.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from league.errors import UserError, nearest
from league.population import Population
from league.reporting.queries.estimates import proportion
from league.store.named_versions import named_version
from league.store.reader import RunReader
from league.types import BASE, ROLES, Backend, Split, Version

if TYPE_CHECKING:
    from league.evaluation.exams import ExamResult
    from league.preflight.checks import Prepared
    from tasks import Task


def play_once(
    run: Path, agents: Sequence[str], *, task: str | None, domain: str | None, index: int
) -> dict[str, object]:
    """Play one match and return its transcript.

    Raises UserError for unknown agents, tasks and domains, and for a wrong number of seats.
    """
    from league.learning.advantages import Credit, learn_from
    from league.preflight.checks import prepare
    from league.rollouts import make_match, play, transcript
    from league.runtime.assembly import read_config
    from league.runtime.league import players_of
    from league.seeds import derive

    with RunReader.read(run) as reader:
        population = Population.from_json(reader.begun()["population"])
        versions = [named_version(reader, name) for name in agents]
        prepared = prepare(read_config(run), new_run=False, speakers={version.agent for version in versions})
        rules = _task(prepared.tasks, task, len(versions))
        seats = _seats(rules, versions)
        own = (population.members[v.agent].domain for v in versions if v.agent in population.members)
        chosen = domain or next(filter(None, own), None) or next(iter(prepared.domains), "")
        if chosen and chosen not in prepared.domains:
            raise UserError(f"domain '{chosen}' is not in this run{nearest(chosen, list(prepared.domains))}")
        backend = load_players(reader, prepared, versions)
    match = make_match(
        rules.name,
        at=(0, "test", index),
        seats=seats,
        problems=rules.problems("test", index, chosen),
        seed=derive("exhibition", index),  # the word is data: it addresses the random stream
        purpose="evaluate",
    )
    (episode,) = play([match], {rules.name: rules}, backend, players_of(population))
    if episode.void is not None:
        raise UserError(f"the match could not be played: {episode.void}")
    score = rules.score(episode)
    return transcript(episode, score, learn_from(episode, score, Credit(), frozenset()).advantages)


def exam_now(run: Path, agents: Sequence[str], split: Split, problems: int) -> dict[str, object]:
    """Held-out accuracy of versions of a run, measured now, per agent and domain with its interval."""
    from league.evaluation.exams import hold_exam
    from league.preflight.checks import prepare
    from league.runtime.assembly import read_config
    from league.runtime.league import players_of

    with RunReader.read(run) as reader:
        population = Population.from_json(reader.begun()["population"])
        config = read_config(run)
        if not config.domains:
            raise UserError(f"{run} has no domains, so there is no exam to sit; `league payoffs {run}` shows its games")
        speaking = [version for name, version in reader.live().items() if population.members[name].can.examined]
        wanted = [named_version(reader, name) for name in agents] or (
            [*speaking, BASE] if speaking else list(reader.live().values())
        )
        evaluation = config.evaluation.model_copy(
            update={"final_problems" if split == "test" else "problems": problems}
        )
        prepared = prepare(
            config.model_copy(update={"evaluation": evaluation}),
            new_run=False,
            speakers={version.agent for version in wanted},
        )
        backend = load_players(reader, prepared, wanted)
    exams: list[ExamResult] = []
    voids: list[str] = []
    for together in _sittings(wanted, population):
        sat, result = hold_exam(
            together,
            prepared.domains,
            split=split,
            problems=range(problems),
            backend=backend,
            players=players_of(population),
            number=0,
        )
        exams += sat
        voids += [result.void] if result.void is not None else []
    if voids and not exams:
        raise UserError(f"the exam could not be held: {voids[0]}")
    rows = [_exam_row(exam) for exam in exams]
    return {"run": str(run), "split": split, "problems": problems, "results": rows, "void": voids}


def _exam_row(exam: "ExamResult") -> dict[str, object]:
    estimate = proportion(sum(exam.correct), len(exam.correct))
    return {
        "agent": exam.version.agent,
        "version": str(exam.version),
        "domain": exam.domain,
        "right": sum(exam.correct),
        "correct": "".join("01"[right] for right in exam.correct),
        "n": len(exam.correct),
        "accuracy": exam.accuracy,
        "low": estimate.low if estimate else None,
        "high": estimate.high if estimate else None,
    }


def _sittings(versions: Sequence[Version], population: Population) -> Iterator[list[Version]]:
    """Everyone together, but each remote player alone."""
    alone = {member.name for member in population.members.values() if member.can.sits_alone}
    yield from ([version] for version in versions if version.agent in alone)
    if together := [version for version in versions if version.agent not in alone]:
        yield together


def load_players(reader: RunReader, prepared: "Prepared", versions: Sequence[Version]) -> Backend:
    """A backend over the base and the named stored versions.

    Scripted and remote agents speak for themselves.
    """
    from league.runtime.assembly import backend_for, load_bank
    from league.runtime.checkpoint import load_adapter

    bank = load_bank(prepared)
    for version in dict.fromkeys(versions):
        if bank is None or version == BASE:
            continue
        if ROLES[(row := reader.version_row(version)).role].has_weights:
            load_adapter(reader, bank, row, trainable=False)
    return backend_for(prepared, bank)


def _task(tasks: "Mapping[str, Task]", name: str | None, seats: int) -> "Task":
    if name is not None:
        if name not in tasks:
            raise UserError(f"task '{name}' is not in this run{nearest(name, list(tasks))}")
        return tasks[name]
    fitting = [task for task in tasks.values() if len(task.seats()) == seats and not task.any_number]
    fitting += [task for task in tasks.values() if task.any_number]
    if not fitting:
        raise UserError(f"no task of this run has {seats} seats; choose one with --task ({', '.join(tasks)})")
    return fitting[0]


def _seats(task: "Task", versions: Sequence[Version]) -> dict[str, Version]:
    names = task.seat_names(len(versions))
    if len(names) != len(versions):
        raise UserError(
            f"task '{task.name}' has {len(names)} seats ({', '.join(names)}), {len(versions)} agents were named"
        )
    return dict(zip(names, versions, strict=True))
