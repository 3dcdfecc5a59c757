"""Seats that agents keep.

Who may sit where, cross-play by config, and what the warm-up shows to whom.
"""

from pathlib import Path

import numpy as np
import pytest

from league.errors import ConfigError, UserError
from league.loop import train
from league.preflight.checks import prepare
from league.round import schedule
from league.round.schedule import open_to, pairings, schedule_matches
from league.round.warm_up import demonstrations
from league.runtime import assembly
from league.store.reader import RunReader
from tasks.coding.problems import code_problem, problems_of
from tasks.coding.task import Coding
from tasks.writing.prompts import SPLIT_LINE
from tasks.writing.task import Writing
from tests.leagues import Nobody, tiny

STREAM = np.random.default_rng(0)
"""For the lot that only a crowd needs."""
TEXT = "It reads the file and returns all lines that hold the word."


def config(folder: Path, names: str, task: dict, **changes: object):
    agents = {name: {"role": "scripted", "says": {TEXT: 1}} for name in names.split()}
    return tiny(
        Path("/nowhere"),
        folder,
        agents=agents,
        domains={},
        tasks={"work": {"matches": 12, **task}},
        league__rounds=1,
        **changes,
    )


def seated(folder: Path, names: str, task: dict) -> set[tuple[str, ...]]:
    """Who sat where in one round: agents in the order of the task's seats."""
    chosen = config(folder, names, task)
    train(prepare(chosen), Nobody())
    with RunReader.read(chosen.folder) as reader:
        return {tuple(version.agent for version in match.seats.values()) for match in reader.matches(1)}


def writing(**seats: list[str]) -> dict:
    return {
        "kind": "writing",
        "settings": {"samples": 1},
        "seats": {name.replace("_", "-"): who for name, who in seats.items()},
    }


def allowed(league, state) -> list:
    """The pairings of the task `work`."""
    return pairings(league.tasks["work"], league.config.tasks["work"], state.population, STREAM)


def test_unnamed_seats_are_dealt_and_named_ones_kept(tmp_path: Path) -> None:
    assert seated(tmp_path / "any", "ann bob", writing()) == {
        ("ann", "bob"),
        ("bob", "ann"),
    }  # 12 matches: both, but once in 2,048
    assert seated(tmp_path / "kept", "ann bob", writing(writer_1=["bob"], writer_2=["ann"])) == {("bob", "ann")}


def test_cross_play_is_a_matter_of_naming(tmp_path: Path) -> None:
    """Several agents per seat meet in every combination.

    One name in both seats allows any adapter there.
    """
    found = seated(tmp_path / "two", "a1 a2 b1 b2", writing(writer_1=["a1", "b1"], writer_2=["a2", "b2"]))
    assert found <= {("a1", "a2"), ("a1", "b2"), ("b1", "a2"), ("b1", "b2")} and len(found) > 1
    league, state = assembly.create(
        prepare(config(tmp_path / "both", "ann bob", writing(writer_1=["ann", "bob"], writer_2=["ann", "bob"])))
    )
    met = {(p.row.agent, p.col.agent) for p in allowed(league, state)}
    chosen = league.config.tasks["work"].model_copy(update={"matchmaking": {"self_play": 1.0}})
    alone = {(p.row.agent, p.col.agent) for p in pairings(league.tasks["work"], chosen, state.population, STREAM)}
    league.store.close()
    assert met == {("ann", "bob"), ("bob", "ann")} and alone == met | {("ann", "ann"), ("bob", "bob")}


@pytest.mark.parametrize(
    "seats", [{}, writing(writer_1=list("abcdef"), writer_2=list("abcdef"))["seats"]], ids=["open", "named"]
)
def test_a_crowd_takes_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seats: dict) -> None:
    """Too many pairings: some learners a round, drawn anew, each with all its opponents.

    Missing one of six 60 times has odds of 6 (2/3)^60 < 1e-9.
    """
    league, state = assembly.create(prepare(config(tmp_path, "a b c d e f", {**writing(), "seats": seats})))
    everyone = {(p.row.agent, p.col.agent) for p in allowed(league, state)}
    assert len(everyone) == 30
    monkeypatch.setattr(schedule, "CROWD", 12)
    met: set[tuple[str, str]] = set()
    for _ in range(60):
        now = {(p.row.agent, p.col.agent) for p in allowed(league, state)}
        assert len(now) == 10 and len({row for row, _ in now}) == 2
        met |= now
    monkeypatch.setattr(schedule, "CROWD", 1)
    assert len({p.row for p in allowed(league, state)}) == 1
    league.store.close()
    assert met == everyone


def test_a_seat_left_out_is_open_to_the_roles(tmp_path: Path) -> None:
    found = seated(tmp_path, "ann bob cay", writing(writer_1=["ann"]))
    assert found == {("ann", "bob"), ("ann", "cay")}


def test_one_agent_may_hold_both_seats(tmp_path: Path) -> None:
    assert seated(tmp_path, "ann", writing(writer_1=["ann"], writer_2=["ann"])) == {("ann", "ann")}


def test_a_third_seat_goes_to_who_is_named_for_it(tmp_path: Path) -> None:
    task = {
        "kind": "writing",
        "settings": {"samples": 1, "turns": 2, "transition": "expert_edits"},
        "seats": {"writer-1": ["ann"], "writer-2": ["bob"], "editor": ["eve"]},
    }
    assert seated(tmp_path, "ann bob eve zoe", task) == {("ann", "bob", "eve")}


def test_teachers_may_be_named_too(tmp_path: Path) -> None:
    agents = {name: {"role": "expert", "domain": "sums", "train": False} for name in ("tom", "tim")} | {
        "ada": {"role": "student"}
    }
    chosen = tiny(Path("/nowhere"), tmp_path, agents=agents)
    wanted = chosen.tasks["teaching"].model_copy(update={"seats": {"teacher": ("tim",)}})
    league, state = assembly.create(prepare(config(tmp_path, "ann bob", writing())))
    league.store.close()
    tasks = {"teaching": prepare_task("teaching", league)}
    population = assembly._new_population(chosen, None)
    assert {p.row.agent for p in pairings(tasks["teaching"], wanted, population, STREAM)} == {"tim"}


def prepare_task(kind: str, league) -> object:
    from tasks import make_task
    from tasks.domains import make_domain

    return make_task(kind, kind, {}, {"sums": make_domain("chain_sum", 1, {}, seed=0, alias="sums")})


@pytest.mark.parametrize(
    ("seats", "expected"),
    [
        ({"writer-3": ["ann"]}, "tasks.work.seats.writer-3: the task has no such seat"),
        ({"writer-1": ["anne"]}, "'anne' is not an agent of this run"),
        ({"writer-1": []}, "nobody is named"),
    ],
)
def test_wrong_seats_are_errors_that_help(tmp_path: Path, seats: dict, expected: str) -> None:
    with pytest.raises((ConfigError, UserError), match=expected):
        prepare(config(tmp_path, "ann bob", {"kind": "writing", "seats": seats}))


@pytest.mark.parametrize(
    ("seats", "roles", "refused"),
    [
        ({"writer-1": ["spy"], "writer-2": ["ann"]}, ["scripted"], True),
        ({"writer-1": ["ann"]}, ["scripted", "exploiter"], True),
        ({"writer-1": ["ann"]}, ["scripted"], False),
        ({"writer-1": ["ann"], "writer-2": ["bob"]}, ["scripted", "exploiter"], False),
        ({}, ["scripted", "exploiter"], False),
    ],
)
def test_targets_mean_nothing_where_seats_are_dealt(
    tmp_path: Path, seats: dict, roles: list[str], refused: bool
) -> None:
    chosen = config(
        tmp_path,
        "ann bob",
        {"kind": "writing", "seats": seats, "roles": roles},
        agents__spy={"role": "exploiter", "targets": ["ann"]},
    )
    with pytest.raises(UserError) as caught:  # always: there is no model for the exploiter
        prepare(chosen)
    assert ("agents.spy.targets: seats of task 'work' are dealt by `tasks.work.seats`" in str(caught.value)) == refused


def test_the_same_seed_gives_the_same_fixtures(tmp_path: Path) -> None:
    league, state = assembly.create(
        prepare(config(tmp_path, "a1 a2 b1 b2", writing(writer_1=["a1", "b1"], writer_2=["a2", "b2"])))
    )
    league.store.close()
    assert (
        schedule_matches(league, state, 1) == schedule_matches(league, state, 1) != schedule_matches(league, state, 2)
    )
    assert {
        seat: [m.name for m in who]
        for seat, who in open_to(league.tasks["work"], league.config.tasks["work"], state.population).items()
    } == {
        "writer-1": ["a1", "b1"],
        "writer-2": ["a2", "b2"],
    }


# ------------------------------------------------------------------------------------------------ demonstrations
def test_demonstrations_are_shown_to_who_may_take_the_seat(tmp_path: Path) -> None:
    league, state = assembly.create(prepare(config(tmp_path, "ann bob", writing(writer_1=["ann"], writer_2=["bob"]))))
    league.store.close()
    people = state.population
    shown = {name: list(demonstrations(league, people, member, 5)) for name, member in people.members.items()}
    assert all(len(found) == 5 for found in shown.values())
    assert all("one short sentence" in target.messages[-1].content for target in shown["ann"])
    assert all("in detail" in target.messages[-1].content for target in shown["bob"])
    assert list(demonstrations(league, people, people.members["ann"], 0)) == []


def test_worked_texts_are_such_as_the_reward_wants() -> None:
    from tasks.writing.hardened import hardened_reward
    from tasks.writing.rewards import TLDR

    problems = {problem.question: problem for problem in problems_of_writing()}
    single = Writing("w", arrangement="single").demonstrations(6, 1, ["writer-1"])
    assert single == Writing("w", arrangement="single").demonstrations(6, 1, ["writer-1"])
    assert single != Writing("w", arrangement="single").demonstrations(6, 2, ["writer-1"])
    for messages, reply in single:
        concise, detailed = (part.strip() for part in reply.split(SPLIT_LINE))
        (source,) = [text for text in problems if text in messages[-1].content]
        assert concise == problems[source].answer and hardened_reward(TLDR, source, concise, detailed)[0] >= 1.0
    both = Writing("w").demonstrations(6, 1, ["writer-1", "writer-2"])
    assert ["in detail" in messages[-1].content for messages, _ in both] == [False, True] * 3
    after = Writing("w", arrangement="sequential").demonstrations(2, 1, ["writer-2"])
    assert all(any(p.answer in messages[-1].content for p in problems.values() if p.answer) for messages, _ in after)
    assert (
        Writing("w").demonstrations(3, 1, ["editor"])
        == []
        == Writing("w", kind="arxiv").demonstrations(3, 1, ["writer-1"])
    )


def problems_of_writing():
    from tasks.writing.sources import problems_of as texts

    return texts("docstrings")["train"]


def test_worked_code_is_the_seats_own() -> None:
    names = {code_problem(problem).entry_point for problem in problems_of("local-2")["train"]}
    task = Coding("c", source="local-2")
    helpers, mains = (task.demonstrations(8, 1, [seat]) for seat in ("helper", "main"))
    assert all(reply.startswith("def aux(") for _, reply in helpers)
    assert all(reply.split("(")[0].removeprefix("def ") in names for _, reply in mains)
    assert task.demonstrations(8, 2, ["helper"]) != helpers
    mixed = task.demonstrations(4, 1, ["helper", "main"])
    assert [reply.startswith("def aux(") for _, reply in mixed] == [True, False] * 2
    seen = Coding("c", source="local-2", arrangement="sequential").demonstrations(2, 1, ["main"])
    assert all("def aux(" in messages[-1].content.partition("Begin with")[0] for messages, _ in seen)
    assert (
        Coding("c", source="humaneval").demonstrations(3, 1, ["helper"]) == [] == task.demonstrations(3, 1, ["editor"])
    )
