"""How counts of unaided answers follow an agent through its versions, and what must never be counted."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from league.config import parse_config
from league.evaluation.exams import ExamResult
from league.loop import train
from league.payoffs.competence import Competence
from league.population import Member, Population
from league.preflight.checks import prepare
from league.round.competence import answered, examined, handed_on
from league.runtime.league import LeagueState
from league.store.reader import RunReader
from league.types import Episode, Hyper, Match, Score, UnaidedAnswers, Version, VersionRow
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, every_channel

HALF_LIFE = 4.0
WORTH = 0.5**0.25
"""Of counts after an update, with that half-life."""
A3, A4, A5, A6 = (Version("ada", step) for step in (3, 4, 5, 6))
MAX = Version("max", 9)


def state_of(live: dict[str, int], pasts: dict[str, tuple[Version, ...]] | None = None, **cells: object) -> LeagueState:
    """Students at these steps; `ada` has answered 6 of 8 at step 3, `max` 3 of 12."""
    members = {name: Member(name, "student", Version(name, at), True, Hyper(0.1)) for name, at in live.items()}
    known = Competence().add([(A3, "sums", 6, 8), (A3, "words", 1, 2), (MAX, "sums", 3, 12)])
    return LeagueState(Population(members, pasts or {}), competence=known)


def made(version: Version, reason: str, *parents: Version) -> VersionRow:
    return VersionRow(version, "student", 1, blob=None, optimizer=None, parents=parents, reason=reason)


def exam(version: Version, right: str, split: str = "validation") -> ExamResult:
    return ExamResult(version, "sums", split, tuple(mark == "1" for mark in right))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------- handed on
def test_an_update_hands_its_counts_on_at_less_worth() -> None:
    """A half-life of four rounds: after one, 6 of 8 count as 6w of 8w with w = ½^¼."""
    known = handed_on(state_of({"ada": 4, "max": 9}), [made(A4, "update", A3)], HALF_LIFE).competence
    assert known.counts(A4, "sums") == (6 * WORTH, 8 * WORTH) and known.counts(A4, "words") == (WORTH, 2 * WORTH)
    assert known.counts(A3, "sums") == (0.0, 0.0), "it can be met no more"
    assert known.counts(MAX, "sums") == (3.0, 12.0), "who did not learn keeps all"


def test_four_updates_are_one_half_life() -> None:
    state = state_of({"ada": 3})
    for step in range(4, 8):
        moved = state.population.moved({"ada": Version("ada", step)})
        row = made(Version("ada", step), "update", Version("ada", step - 1))
        state = handed_on(replace(state, population=moved), [row], HALF_LIFE)
    assert state.competence.counts(Version("ada", 7), "sums") == pytest.approx((3.0, 4.0))


def test_a_snapshot_and_its_successor_are_the_same_policy() -> None:
    """As a round makes them: updated to step 4, frozen there, and on as step 5 with the same weights."""
    state = state_of({"ada": 5, "max": 9}, {"ada": (A4,)})
    known = handed_on(state, [made(A4, "update", A3), made(A5, "snapshot", A4)], HALF_LIFE).competence
    assert known.counts(A4, "sums") == known.counts(A5, "sums") == (6 * WORTH, 8 * WORTH)


def test_a_past_keeps_its_counts_while_those_of_the_live_version_fade() -> None:
    state = handed_on(state_of({"ada": 4}, {"ada": (A3,)}), [made(A4, "update", A3)], HALF_LIFE)
    assert state.competence.counts(A3, "sums") == (6.0, 8.0)
    assert state.competence.counts(A4, "sums")[1] < 8.0


@pytest.mark.parametrize("reason", ["exploit", "rollback"])
def test_the_last_parent_gave_the_weights(reason: str) -> None:
    """Parents of an exploit are (its own version, the donor's), of a rollback (the bad one, the good one)."""
    known = handed_on(state_of({"ada": 6, "max": 9}), [made(A6, reason, A3, MAX)], HALF_LIFE).competence
    assert known.counts(A6, "sums") == (3.0, 12.0)
    assert known.counts(A6, "words") == (0.0, 0.0), "the donor has answered none"


@pytest.mark.parametrize("reason", ["branch", "reset", "merge"])
def test_the_first_parent_gave_the_weights_otherwise(reason: str) -> None:
    born = Version("new", 0)
    known = handed_on(state_of({"new": 0, "ada": 3}), [made(born, reason, A3, MAX)], HALF_LIFE).competence
    assert known.counts(born, "sums") == (6.0, 8.0) and known.counts(A3, "sums") == (6.0, 8.0)


def test_a_version_without_parents_begins_with_nothing() -> None:
    born = Version("new", 0)
    assert handed_on(state_of({"new": 0}), [made(born, "warm-up")], HALF_LIFE).competence == Competence()


def test_the_exam_of_the_round_adds_to_what_was_handed_on() -> None:
    """An exam is held by the updated version, before its counts are handed on: 1 of 2 more."""
    state = examined(state_of({"ada": 4}), [exam(A4, "10")])
    known = handed_on(state, [made(A4, "update", A3)], HALF_LIFE).competence
    assert known.counts(A4, "sums") == pytest.approx((6 * WORTH + 1, 8 * WORTH + 2))


def test_an_agent_that_is_rolled_back_twice_in_a_row_still_knows_how_good_it_was() -> None:
    """The good version is met by nobody meanwhile, and must not be forgotten."""
    state = state_of({"ada": 5})
    state = replace(state, alarms=state.alarms.with_good("ada", A3))
    state = handed_on(state, [made(A4, "update", A3), made(A5, "rollback", A4, A3)], HALF_LIFE)
    assert state.competence.counts(A5, "sums") == (6.0, 8.0)
    again = replace(state, population=state.population.moved({"ada": Version("ada", 7)}))
    rows = [made(A6, "update", A5), made(Version("ada", 7), "rollback", A6, A3)]
    assert handed_on(again, rows, HALF_LIFE).competence.counts(Version("ada", 7), "sums") == (6.0, 8.0)


# --------------------------------------------------------------------------------------------- what is counted
def test_an_exam_on_validation_problems_counts() -> None:
    state = examined(state_of({"ada": 3}), [exam(A3, "110")])
    assert state.competence.counts(A3, "sums") == (8.0, 11.0)
    assert state.gains != state_of({"ada": 3}).gains, "a student's gain is seen in it"


def test_an_exam_on_test_problems_changes_nothing() -> None:
    state = state_of({"ada": 3})
    assert examined(state, [exam(A3, "111", "test"), exam(A3, "000", "test")]) == state


def played(purpose: str) -> tuple[Episode, Score]:
    match = Match("m", "contest", 1, {"player": A3}, (), 0, purpose)  # type: ignore[arg-type]
    return Episode(match, []), Score({}, {}, unaided=(UnaidedAnswers("player", "sums", 1.0, 4),))


def test_training_matches_count_and_evaluation_does_not() -> None:
    state = state_of({"ada": 3})
    episode, score = played("train")
    assert answered(state, [episode], [score]).competence.counts(A3, "sums") == (6.25, 9.0), (
        "four replies to one problem, a quarter of them right"
    )
    assert answered(state, [episode], [None]) == state, "a void match tells nothing"
    episode, score = played("evaluate")
    assert answered(state, [episode], [score]) == state


def test_more_test_problems_do_not_change_who_teaches_whom(tmp_path: Path) -> None:
    """Two runs that differ in the size of their test exams only: first and last round."""
    model, known, matches = write_tiny_model(tmp_path / "model", max_position_embeddings=1024), [], []
    for problems in (2, 7):
        data = every_channel(model, tmp_path / f"runs{problems}", league__rounds=2, evaluation__final_problems=problems)
        folder = train(prepare(parse_config(yaml.safe_dump(data), "channels")), Nobody())
        with RunReader.read(folder) as reader:
            state = reader.state()
            known.append((state["competence"], state["channel_gains"]))
            matches.append([(m.task, m.seats) for n in (1, 2) for m in reader.matches(n, n) if m.purpose == "train"])
    assert known[0] == known[1] and known[0][0]
    assert matches[0] == matches[1] and matches[0]
