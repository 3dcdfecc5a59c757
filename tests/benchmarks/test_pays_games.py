"""The games of docs/pays.md: mixtures over a posterior by hand, equal games, both regimes on a tiny model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.pays import collaborative, nontransitive, run
from benchmarks.pays.cells import Cells
from benchmarks.pays.conventions import COLOURS, Conventions
from benchmarks.pays.place import Place
from league.config import parse_config
from league.preflight.checks import prepare
from league.store.reader import RunReader
from tasks.games.normal_form import exploitability
from tests.benchmarks.test_pays_regimes import in_process
from tests.conftest import write_tiny_model
from tests.helpers.games_player import match_for, play


@pytest.fixture(scope="module")
def tiny_players(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("llguidance")
    return str(write_tiny_model(tmp_path_factory.mktemp("tiny-players"), max_position_embeddings=2048))


def with_pasts(reader: RunReader) -> bool:
    """Whether somebody was met in a version older than one that has played in an earlier match."""
    newest: dict[str, int] = {}
    for match in reader.matches():
        for who in match.seats.values():
            if who.step < newest.get(who.agent, 0):
                return True
            newest[who.agent] = max(who.step, newest.get(who.agent, 0))
    return False


def test_many_games_give_the_nash_mixture_and_none_the_even_one() -> None:
    """A player that wins every game is the whole mixture; without games everybody has the same share by symmetry.

    The mean of 200 mixtures with values in [0, 1] is off by more than 0.15 with odds below 1e-3 (Hoeffding: 2.5e-4).
    """
    wins = np.array([[0.0, 5000.0, 5000.0], [0.0, 0.0, 2500.0], [0.0, 2500.0, 0.0]])
    rng = np.random.default_rng(0)
    assert nontransitive.posterior_nash(wins, 0 * wins, wins.T, rng) == pytest.approx([1, 0, 0], abs=1e-6)
    none = nontransitive.posterior_nash(0 * wins, 0 * wins, 0 * wins, rng)
    assert none.sum() == pytest.approx(1) and none == pytest.approx([1 / 3] * 3, abs=0.15)


def test_a_lucky_game_moves_the_posterior_mixture_less_than_its_mean() -> None:
    """One game won by each in a cycle but for one pair: the mean's Nash mixture is pure, the posterior's is not."""
    wins = np.zeros((3, 3))
    wins[0, 1] = wins[0, 2] = 1
    mixture = nontransitive.posterior_nash(wins, 0 * wins, wins.T, np.random.default_rng(1))
    assert 0.4 < mixture[0] < 0.95 and (mixture[1:] > 0.01).all()


def test_both_arms_play_equally_many_games() -> None:
    assert nontransitive.games("self") == nontransitive.games("league") == 16 * 328


def test_the_games_are_configurations_that_the_program_accepts(tmp_path: Path, tiny_players: str) -> None:
    place = Place(tmp_path, Cells(tmp_path / "cells.json"), tiny_players)
    for arm in ("self", "league"):
        assert prepare(nontransitive.config_of(arm, 1, place)).tasks["game"].relation == "contest"
        config = collaborative.config_of(arm, 1, place)
        config["model"]["name"] = tiny_players
        prepared = prepare(parse_config(yaml.safe_dump(config), arm))
        assert prepared.tasks["game"].relation == "cooperation" and prepared.config.tasks["game"].matches == 4


def test_no_convention_is_better_than_another() -> None:
    """Two of four pure habits agree by chance once in four; nobody gains by leaving an agreed colour."""
    task = Conventions("game", samples=2, rounds=3, joint="aligned")
    for move in COLOURS.moves:
        episode = play(task, match_for(task), lambda seat, prompt, rng, move=move: move)
        assert task.score(episode).metrics["return"] == 1.0
        assert exploitability(COLOURS.payoff_AA, np.eye(4)[COLOURS.moves.index(move)]) == 0
    apart = play(task, match_for(task), lambda seat, prompt, rng: "red" if seat == "row" else "blue")
    assert task.score(apart).metrics["return"] == 0.0


def test_a_player_that_follows_gets_on_with_every_habit() -> None:
    """It misses the first round of three, unless its own first colour happens to be right."""
    task = Conventions("game", samples=2, rounds=3, joint="aligned")

    def follow(seat: str, prompt: str, rng: np.random.Generator) -> str:
        if seat == "col":
            return "green"
        return prompt.rpartition("other ")[2].partition(".")[0] if "other " in prompt else "red"

    found = task.score(play(task, match_for(task), follow)).metrics["return"]
    assert found == pytest.approx(2 / 3)


def test_evaluation_does_not_branch() -> None:
    task = Conventions("game", samples=4, rounds=3, branch=2, joint="aligned")
    match = match_for(task)
    for purpose, count in (("train", 4 * (1 + 2 + 4)), ("evaluate", 4 * 3)):
        episode = play(task, replace(match, purpose=purpose), lambda seat, prompt, rng: "red")
        assert sum(len(decision.nodes) for _, decision in episode.decisions()) == count
    assert Conventions("game", game="colors").check()


@pytest.mark.slow
def test_nontransitive_on_a_tiny_model_goes_on_where_it_was(
    tmp_path: Path, tiny_players: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after round 2 of 4: the curve on disk is continued, not begun again."""
    place = Place(tmp_path, Cells(tmp_path / "cells.json"), tiny_players)
    monkeypatch.setattr(nontransitive, "MATCHES", {"self": 2, "league": 2})
    monkeypatch.setattr(nontransitive, "ROUNDS", {"self": 4, "league": 4})
    monkeypatch.setattr(nontransitive, "MEASURING", 2)
    monkeypatch.setattr(nontransitive, "GROUP", 2)
    measure = nontransitive.Curve.round

    def killed(self: nontransitive.Curve, league: object, report: object) -> None:
        measure(self, league, report)  # type: ignore[arg-type]
        if self.points[-1]["round"] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(nontransitive.Curve, "round", killed)
    with pytest.raises(KeyboardInterrupt):
        nontransitive.run_seed(5, place)
    monkeypatch.setattr(nontransitive.Curve, "round", measure)
    nontransitive.run_seed(5, place)
    kept = nontransitive.Curve(tmp_path / "curves" / "nontransitive-league-5.json", 5).points
    assert [point["round"] for point in kept] == [0, 1, 2, 3, 4]
    cells = {cell.arm: cell for cell in place.cells}
    assert set(cells) == {"league", "league_plain", "league_average", "league_learner", "self", "self_average"}
    assert cells["league"].accuracy() == pytest.approx(np.mean([point["posterior"] for point in kept[2:]]), abs=1e-4)
    assert all(0 <= cell.accuracy() <= 1 for cell in cells.values())
    for arm in ("self", "league"):
        with RunReader.read(tmp_path / "runs" / f"nontransitive-{arm}-5") as reader:
            assert 2 * reader.match_count() == nontransitive.games(arm) == cells[arm].budget
    before = place.cells.path.read_text()
    nontransitive.run_seed(5, place)
    assert place.cells.path.read_text() == before


@pytest.mark.slow
def test_collaborative_on_a_tiny_model(tmp_path: Path, tiny_players: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "league", in_process)
    monkeypatch.setattr(collaborative, "MATCHES", 3)
    monkeypatch.setattr(collaborative, "GROUP", 2)
    monkeypatch.setattr(collaborative, "PLAYED", 2)
    place = Place(tmp_path, Cells(tmp_path / "cells.json"), tiny_players)
    collaborative.run_seed(1, place, rounds=6, strangers=(8, 9))
    cells = {cell.arm: cell for cell in place.cells}
    assert set(cells) == {"self", "self_own", "league", "league_own"}
    assert cells["league"].parts == ("stranger 1", "stranger 2") and cells["league_own"].parts == ("own",)
    assert all(0 <= cell.accuracy() <= 1 and cell.budget == 36 for cell in cells.values())
    for arm, expected in (("league", True), ("self", False)):
        with RunReader.read(tmp_path / "runs" / f"collaborative-{arm}-1") as reader:
            assert with_pasts(reader) == expected, "frozen pasts are partners in the league only"
    with pytest.raises(SystemExit, match="held-out partner"):
        collaborative.run_seed(8, place, strangers=(8, 9))
