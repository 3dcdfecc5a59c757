"""Alarms, each provoked, and what they lead to in a real tiny league.

Warn, roll back to the last good version, quarantine after three.
"""

import dataclasses
import math
from pathlib import Path

import pytest

from league.evaluation.exams import ExamResult
from league.learning.alarms import Thresholds, alarms, not_known_before, repeated_share, signs, speech
from league.loop import resume, train
from league.population import Member, Population
from league.preflight.checks import prepare
from league.round import guard as guard_module
from league.round.guard import alarm_quantities
from league.round.values import RoundDraft
from league.runtime.league import LeagueState
from league.store.digests import run_digest
from league.store.reader import RunReader
from league.store.run import request_stop
from league.types import (
    Decision,
    Episode,
    Hyper,
    Match,
    Message,
    Node,
    Reply,
    Sampling,
    Score,
    Split,
    Turn,
    UnaidedAnswers,
    Version,
)
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny

LEVELS = {
    "kl": Thresholds(0.1, 0.5),
    "entropy_low": Thresholds(0.3, 0.1),
    "entropy_high": Thresholds(2.0, None),
    "length": Thresholds(1.5, 3.0),
    "capped": Thresholds(0.2, 0.5),
    "repetition": Thresholds(0.3, 0.6),
    "overfit": Thresholds(0.1, 0.25),
    "flat_groups": Thresholds(0.95, None),
}
FIRST = {
    "kl": 0.0,
    "entropy": 1.0,
    "length": 10.0,
    "capped": 0.0,
    "repetition": 0.0,
    "flat_groups": 0.5,
    "train_accuracy": 0.3,
    "held_out": 0.3,
}


@pytest.mark.parametrize(
    ("quantity", "warn", "act", "sign"),
    [
        ("kl", 0.2, 0.6, "kl"),
        ("entropy", 0.2, 0.05, "entropy_low"),
        ("entropy", 3.0, None, "entropy_high"),
        ("length", 20.0, 40.0, "length"),
        ("capped", 0.3, 0.6, "capped"),
        ("repetition", 0.4, 0.7, "repetition"),
        ("train_accuracy", 0.45, 0.6, "overfit"),
        ("flat_groups", 1.0, None, "flat_groups"),
    ],
)
def test_each_sign_at_each_level(quantity: str, warn: float, act: float | None, sign: str) -> None:
    assert alarms("a", FIRST, FIRST, LEVELS) == []
    (found,) = alarms("a", {**FIRST, quantity: warn}, FIRST, LEVELS)
    assert (found.sign, found.action) == (sign, "warn")
    if act is not None:
        (found,) = alarms("a", {**FIRST, quantity: act}, FIRST, LEVELS)
        assert (found.sign, found.action) == (sign, "roll back")


def test_nobody_is_rolled_back_for_what_it_was_born_with() -> None:
    born = {**FIRST, "capped": 0.9}
    (found,) = alarms("a", born, born, LEVELS)
    assert (found.sign, found.action) == ("capped", "warn")


def test_an_agent_that_became_sure_because_it_became_right_is_only_watched() -> None:
    sure = {**FIRST, "entropy": 0.05}
    (found,) = alarms("a", {**sure, "train_accuracy": 0.35}, FIRST, LEVELS)
    assert (found.sign, found.action) == ("entropy_low", "warn")
    (found,) = alarms("a", {**sure, "train_accuracy": 0.3}, FIRST, LEVELS)
    assert (found.sign, found.action) == ("entropy_low", "roll back")
    unknown = {name: value for name, value in sure.items() if name != "train_accuracy"}
    assert alarms("a", unknown, FIRST, LEVELS)[0].action == "roll back"


@pytest.mark.parametrize(
    ("quantity", "value", "sign"),
    [("held_out", 0.0, "overfit"), ("capped", 0.9, "capped"), ("entropy", 1e-6, "entropy_low")],
)
def test_what_the_first_round_did_not_measure_an_agent_was_not_born_with(
    quantity: str, value: float, sign: str
) -> None:
    first = {name: each for name, each in FIRST.items() if name != quantity}
    measured = {**FIRST, "train_accuracy": 0.3, quantity: value}
    assert alarms("a", {**FIRST}, first, LEVELS) == [], "an ordinary value, seen for the first time"
    (found,) = alarms("a", measured, first, LEVELS)
    assert (found.sign, found.action) == (sign, "roll back")


@pytest.mark.parametrize(
    ("born", "now", "action"),
    [(0.2, 0.45, "warn"), (0.2, 9.0, "roll back"), (0.7, 1.1, "warn"), (0.7, 9.0, "roll back")],
)
@pytest.mark.parametrize("with_update", [True, False])
def test_the_first_kl_is_what_an_agent_was_born_with(born: float, now: float, action: str, with_update: bool) -> None:
    """Its first update measures the weights of before it: those of the warm-up, also where round 1 had no update.

    Born with 0.7, above the limit of 0.5, it is rolled back above 0.7 + 0.5.
    """
    first = {name: each for name, each in FIRST.items() if name != "kl"} | ({"kl": born} if with_update else {})
    at_birth = {**FIRST, "kl": born}
    (found,) = alarms("a", at_birth, first, LEVELS)
    assert (found.sign, found.action) == ("kl", "warn")
    later = not_known_before(at_birth, first)
    assert later == ({} if with_update else {"kl": born})
    (found,) = alarms("a", {**FIRST, "kl": now}, first, LEVELS, later)
    assert (found.sign, found.action) == ("kl", action)
    assert found.limit == pytest.approx(0.1 if action == "warn" else {0.2: 0.5, 0.7: 1.2}[born])


def test_a_relative_sign_compares_with_the_first_time_its_quantity_was_measured() -> None:
    """An agent whose first round had no replies of its own: 2 nats a token later, then a twentieth of that."""
    first = {"kl": 0.0}
    later = not_known_before({**FIRST, "entropy": 2.0}, first)
    assert later == {"entropy": 2.0, "length": 10.0, "train_accuracy": 0.3}
    assert not_known_before({"entropy": 9.0, "kl": 0.1}, first, later) == {}
    assert alarms("a", {"entropy": 1.5, "length": 12.0}, first, LEVELS, later) == []
    found = alarms("a", {"entropy": 0.1, "length": 31.0}, first, LEVELS, later)
    assert [(each.sign, each.action) for each in found] == [("entropy_low", "roll back"), ("length", "roll back")]


def test_a_sign_that_is_not_a_number_is_an_alarm() -> None:
    (found,) = alarms("a", {**FIRST, "kl": math.nan}, FIRST, LEVELS)
    assert found.action == "roll back"


def test_what_cannot_be_known_raises_nothing() -> None:
    assert signs({"capped": 0.0}, {}) == {"capped": 0.0}


def test_repetition() -> None:
    assert repeated_share("a b c d e f g h") == 0.0
    assert repeated_share("one two three four " * 5) > 0.6
    assert repeated_share("too short") == 0.0


def test_speech_counts_what_was_said() -> None:
    """Six tokens, of which two had log π = −1.5: an entropy of 0.5 nats a token."""
    turn = Turn("answer", {"p": (Message("user", "?"),)}, 2, {"p": Sampling()})
    replies = (Reply("x", "end", (1,), (2, 3), (-1.5, -1.5)), Reply("y", "length", (1,), (2, 3, 4, 5), (0.0,) * 4))
    episode = Episode(
        Match("m", "t", round=1, seats={"p": Version("ann", 0)}, problems=(), seed=0),
        [Decision(turn, {"p": replies}, [Node(0, {"p": 0}), Node(1, {"p": 1})])],
    )
    # one of two is right, whatever a mix of rewards paid for them
    score = Score({0: {"p": 1.4}, 1: {"p": 0.9}}, {}, unaided=(UnaidedAnswers("p", "sums", 1.0, 2),))
    found = speech([episode], [score], frozenset({"ann"}))
    assert found["ann"] == {
        "length": 3.0,
        "capped": 0.5,
        "repetition": 0.0,
        "entropy": 0.5,
        "flat_groups": 0.0,
        "train_accuracy": 0.5,
    }


@pytest.mark.parametrize(
    ("domain", "answers", "held_out"),
    [("sums", 60, 0.75), (None, 60, 0.375), ("sums", 40, None)],
)
def test_a_specialist_is_judged_by_its_own_domain_and_by_enough_answers(
    domain: str | None, answers: int, held_out: float | None
) -> None:
    """Right in three of four sums and in no text: a specialist of sums does not overfit by knowing no texts."""
    ann = Version("ann", 0)
    member = Member("ann", "expert", ann, trains=True, hyper=Hyper(1e-4), domain=domain)
    turn = Turn("answer", {"p": (Message("user", "?"),)}, 2, {"p": Sampling()})
    replies = (Reply("x", "end", (1,), (2,), (-0.1,)),) * 2
    episode = Episode(
        Match("m", "t", round=1, seats={"p": ann}, problems=(), seed=0),
        [Decision(turn, {"p": replies}, [Node(0, {"p": 0}), Node(1, {"p": 1})])],
    )
    draft = RoundDraft(1)
    draft.exams = [
        ExamResult(ann, "sums", "validation", (True, True, True, False) * (answers // 4)),
        ExamResult(ann, "texts", "validation", (False,) * answers),
    ]
    state = LeagueState(Population({"ann": member}, {}))
    found = alarm_quantities(state, draft, [episode], [Score({0: {"p": 1.0}, 1: {"p": 1.0}}, {})], {})
    assert found["ann"].get("held_out") == held_out


@pytest.mark.parametrize(("answers", "overfit"), [((30, 30), 0.0), ((10, 0), None), ((60, 0), -0.25)])
def test_overfitting_compares_right_answers_domain_by_domain(answers: tuple[int, int], overfit: float | None) -> None:
    """Right in half of the sums and in no text, in training as held out: whatever the round asks more of.

    With a reward mix that pays three for any answer. Ten answers say nothing; sums alone are compared with sums.
    """
    ann = Version("ann", 0)
    member = Member("ann", "student", ann, trains=True, hyper=Hyper(1e-4))
    turn = Turn("answer", {"p": (Message("user", "?"),)}, 2, {"p": Sampling()})
    replies = (Reply("x", "end", (1,), (2,), (-0.1,)),) * 2
    match = Match("m", "t", round=1, seats={"p": ann}, problems=(), seed=0)
    episode = Episode(match, [Decision(turn, {"p": replies}, [Node(0, {"p": 0}), Node(1, {"p": 1})])])
    draft = RoundDraft(1)
    sums = (True, False) if answers[1] else (True, True, True, False)
    draft.exams = [
        ExamResult(ann, "sums", "validation", sums * (60 // len(sums))),
        ExamResult(ann, "texts", "validation", (False,) * 60),
    ]
    unaided = tuple(
        UnaidedAnswers("p", domain, right * n, n)
        for domain, right, n in (("sums", 0.5, answers[0]), ("texts", 0.0, answers[1]))
        if n
    )
    state = LeagueState(Population({"ann": member}, {}))
    score = Score({0: {"p": 3.0}, 1: {"p": 3.0}}, {}, unaided=unaided)
    found = alarm_quantities(state, draft, [episode], [score], {})
    assert signs(found["ann"], {}).get("overfit") == overfit


@pytest.mark.parametrize(("split", "overfit"), [("validation", 1.0), ("test", None)])
def test_test_problems_decide_nothing(split: Split, overfit: float | None) -> None:
    """The last exam is on test problems, before guard: all wrong there, all right in training."""
    ann = Version("ann", 0)
    member = Member("ann", "student", ann, trains=True, hyper=Hyper(1e-4))
    turn = Turn("answer", {"p": (Message("user", "?"),)}, 2, {"p": Sampling()})
    replies = (Reply("x", "end", (1,), (2,), (-0.1,)),) * 2
    match = Match("m", "t", round=1, seats={"p": ann}, problems=(), seed=0)
    episode = Episode(match, [Decision(turn, {"p": replies}, [Node(0, {"p": 0}), Node(1, {"p": 1})])])
    score = Score({0: {"p": 1.0}, 1: {"p": 1.0}}, {}, unaided=(UnaidedAnswers("p", "sums", 60.0, 60),))
    draft = RoundDraft(1)
    draft.exams = [ExamResult(ann, "sums", split, (False,) * 60)]
    found = alarm_quantities(LeagueState(Population({"ann": member}, {})), draft, [episode], [score], {})
    assert signs(found["ann"], {}).get("overfit") == overfit


# ------------------------------------------------------------------------------------------------ in the league
@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


def provoked(monkeypatch: pytest.MonkeyPatch, rounds: set[int], agent: str = "ada") -> None:
    """In these rounds the agent's replies look three times too long."""
    measured = guard_module.alarm_quantities

    def longer(state, draft, *arguments):
        found = measured(state, draft, *arguments)
        if draft.number in rounds and agent in found:
            found[agent]["length"] = 1000 * state.alarms.first[agent]["length"]
        return found

    monkeypatch.setattr(guard_module, "alarm_quantities", longer)


def test_an_alarm_rolls_back_to_the_last_good_version(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provoked(monkeypatch, {3})
    config = tiny(model, tmp_path, league__rounds=4, league__snapshot_every=10)
    train(prepare(config), Nobody())
    with RunReader.read(config.folder) as reader:
        rows = {row.version: row for row in reader.versions("ada")}
        (back,) = [row for row in rows.values() if row.reason == "rollback"]
        bad, good = back.parents
        assert rows[good].round == 2 or rows[good].reason == "snapshot"
        assert back.blob == rows[good].blob, "the same weights, bit by bit"
        assert rows[bad].blob is None, "the bad weights are not kept"
        assert not [row for row in reader.versions("max") if row.reason == "rollback"]
        assert "alarm/ada/length" in reader.scalar_names()


def test_three_strikes_take_an_agent_out_of_training(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provoked(monkeypatch, {2, 3, 4})
    config = tiny(model, tmp_path, league__rounds=6, league__snapshot_every=10)
    train(prepare(config), Nobody())
    with RunReader.read(config.folder) as reader:
        state = reader.state()
        assert state["guards"]["quarantined"] == ["ada"]
        assert {m["name"]: m["trains"] for m in state["population"]["members"]} == {
            "adder": True,
            "ada": False,
            "max": True,
        }
        assert max(row.round for row in reader.versions("ada")) == 4, "after its quarantine nothing of it changes"


def test_a_run_with_alarms_resumes_as_the_same_run(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provoked(monkeypatch, {3})

    class Stop(Nobody):
        def round(self, league, report) -> None:
            if report.round in (2, 3):
                request_stop(league.store.folder)

    whole, parts = tiny(model, tmp_path / "a", league__rounds=4), tiny(model, tmp_path / "b", league__rounds=4)
    train(prepare(whole), Nobody())
    train(prepare(parts), Stop())
    resume(parts.folder, Stop())
    resume(parts.folder, Nobody())
    assert run_digest(whole.folder) == run_digest(parts.folder)


def test_a_non_finite_update_leaves_the_agent_as_it_was_and_the_others_go_on(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from league.learning.update import update

    def broken(base, bank, samples, hyper, objective, *, diverged):
        spoilt = [dataclasses.replace(s, advantage=float("inf")) if s.agent == "ada" else s for s in samples]
        return update(base, bank, spoilt, hyper, objective, diverged=diverged)

    monkeypatch.setattr("league.round.learn.update", broken)
    config = tiny(model, tmp_path, league__rounds=4, league__snapshot_every=10)
    train(prepare(config), Nobody())
    with RunReader.read(config.folder) as reader:
        assert not [row for row in reader.versions("ada") if row.reason == "update"]
        assert [row for row in reader.versions("max") if row.reason == "update"]
        assert "alarm/ada/non_finite" in reader.scalar_names()
        assert reader.state()["guards"]["quarantined"] == ["ada"]


def test_a_healthy_agent_whose_first_round_had_no_update_learns_on(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Round 1 has no update. Its warm-up left a KL of 0.7, which is no fault of rounds 2 to 4; 9 in round 5 is."""
    measured = guard_module.alarm_quantities
    kl = {2: 0.7, 3: 0.72, 4: 0.7, 5: 9.0}

    def drifting(state, draft, *arguments):
        found = {agent: {**each, "kl": 0.0} for agent, each in measured(state, draft, *arguments).items()}
        found["ada"] = {name: each for name, each in found["ada"].items() if name != "kl"}
        found["ada"] |= {"kl": kl[draft.number]} if draft.number in kl else {}
        return found

    monkeypatch.setattr(guard_module, "alarm_quantities", drifting)
    config = tiny(model, tmp_path, league__rounds=5, league__snapshot_every=10)
    train(prepare(config), Nobody())
    with RunReader.read(config.folder) as reader:
        assert [row.round for row in reader.versions("ada") if row.reason == "rollback"] == [5]
        assert reader.state()["guards"]["quarantined"] == []
        assert reader.state()["guards"]["later"]["ada"]["kl"] == 0.7


def test_overfitting_acts_where_exams_are_held_every_other_round(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first round has no exam, as in every shipped config; in round 2 the agent turns out to overfit."""
    measured = guard_module.alarm_quantities

    def overfitting(state, draft, *arguments):
        found = measured(state, draft, *arguments)
        assert "held_out" not in found.get("ada", {}), "three answers are too few"
        if draft.number == 2:
            found["ada"] |= {"train_accuracy": 0.9, "held_out": 0.5}
        return found

    monkeypatch.setattr(guard_module, "alarm_quantities", overfitting)
    config = tiny(model, tmp_path, league__rounds=3, league__snapshot_every=10)
    train(prepare(config), Nobody())
    with RunReader.read(config.folder) as reader:
        assert [row.round for row in reader.versions("ada") if row.reason == "rollback"] == [2]
        assert reader.round_scalars(2)["alarm/ada/overfit"] == pytest.approx(0.4)
