"""The regimes of docs/pays.md in which agents answer problems, and the merger, on a tiny model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from benchmarks.pays import arms, merge, probe, run
from benchmarks.pays.cells import Cells
from benchmarks.pays.place import Place
from benchmarks.pays.regimes import CROWDED, NAMES, PRIVATE, PUBLIC, Regime, regime_of, sparse
from league.cli import app
from league.config import parse_config
from league.preflight.checks import prepare
from tests.conftest import write_tiny_model

TWO = {"sums": ("chain_sum", 1), "legs": ("leg_counting", 1)}


def in_process(*words: str | Path) -> str:
    """`run.league` without a process of its own."""
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_model(tmp_path_factory.mktemp("tiny-long"), max_position_embeddings=4096))


@pytest.fixture
def place(tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Everything small: two domains in every regime, few solutions, two test problems."""
    monkeypatch.setattr(run, "league", in_process)
    monkeypatch.setattr(run, "PRIVATE", small(PRIVATE))
    return Place(tmp_path, Cells(tmp_path / "cells.json"), model, budget=300, problems=2)


def small(regime: Regime, **changes: object) -> Regime:
    return replace(regime, domains=TWO, solutions=8, shared=4, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_the_starts_are_accepted_before_a_model_is_loaded(name: str, tmp_path: Path, model: str) -> None:
    regime = regime_of(name)
    for config in (arms.start(regime, 2, tmp_path), arms.pooled(regime, 2, tmp_path)):
        config["model"]["name"] = model
        prepared = prepare(parse_config(yaml.safe_dump(config), name))
        assert len(prepared.domains) == len(regime.domains) and prepared.config.adapter.rank == regime.rank


def test_crowded_is_crowded() -> None:
    assert len(CROWDED.domains) >= 10 and CROWDED.rank == 2 and CROWDED.solutions < PRIVATE.solutions
    assert CROWDED.adapter("generalist", 1, Path("w")) != PRIVATE.adapter("generalist", 1, Path("w"))


@pytest.mark.slow
def test_crowded_from_start_to_cell(place: Place) -> None:
    regime = small(CROWDED)
    run.run_seed(regime, 3, ("league",), place)
    cells = {cell.arm: cell for cell in place.cells}
    assert set(cells) == {"start", "experts", "league"}
    assert all(cell.parts == ("sums", "legs") and len(cell.right["sums"]) == 2 for cell in cells.values())
    assert cells["league"].spent["sampled"] + cells["league"].spent["trained"] >= 300
    folder = place.work / "start-crowded" / "3"
    assert json.loads((folder / "generalist" / "adapter_config.json").read_text())["r"] == 2
    assert json.loads((folder / "sums" / "adapter_config.json").read_text())["r"] == 2
    assert not (place.work / "start").exists()


@pytest.mark.slow
def test_sparse_begins_with_the_adapter_of_private(place: Place) -> None:
    regime = small(sparse())
    run.begin(regime, 3, place)
    assert sorted(each.name for each in (place.work / "start" / "3").iterdir()) == ["generalist"]
    assert (place.work / "start-sparse" / "3" / "legs").exists()
    for name in regime.arms:
        config = arms.arm(regime, name, 3, work=place.work)
        config["model"]["name"] = place.model
        assert prepare(parse_config(yaml.safe_dump(config), name)).config.agents["student"].checkpoint


@pytest.mark.slow
def test_the_public_league_also_learns_from_its_own_past_and_more_data_is_learned_again(place: Place) -> None:
    regime = small(PUBLIC)
    run.run_seed(regime, 3, ("league", "more_supervised"), place)
    cells = {cell.arm: cell for cell in place.cells}
    assert set(cells) == {"start", "experts", "league", "more_supervised"}
    assert cells["more_supervised"].spent["solutions"] == 16, "8 of each of the two domains"
    config = arms.arm(regime, "league", 3, work=place.work)
    assert config["agents"]["student"]["role"] == "generalist" and set(config["tasks"]) == {"worked", "own", "practice"}
    assert all(task["matches"] == 0 for task in config["tasks"].values()) and config["league"]["shared_matches"] == 4


@pytest.mark.slow
def test_the_merger_sits_the_exam_with_a_weight_chosen_on_validation(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    regime = small(PRIVATE)
    run.begin(regime, 3, place)
    asked: list[tuple[str, str]] = []
    examine = merge.ExamRoom.examine

    def best(
        self: merge.ExamRoom, names: dict, domains: dict, problems: int, split: str = "test"
    ) -> dict[str, dict[str, str]]:
        (name,) = names
        asked.append((name, split))
        found = examine(self, names, domains, problems, split)  # type: ignore[arg-type]
        return {name: {"sums": "10", "legs": "11"}} if name in ("merger-0.3", "merger-0.8") else found

    monkeypatch.setattr(merge.ExamRoom, "examine", best)
    merge.measure_merge(regime, 3, place, problems=2)
    (cell,) = place.cells
    assert cell.arm == "merge" and cell.spent == {"weight": 0.3} and cell.accuracy() == 0.75
    assert asked == [(f"merger-{weight}", "validation") for weight in merge.WEIGHTS] + [("merger-0.3", "test")]
    merge.measure_merge(regime, 3, place)
    assert len(asked) == 5, "a cell that is there is not measured again"


def test_only_private_has_a_merger(place: Place) -> None:
    merge.measure_merge(small(CROWDED), 3, place)
    assert not list(place.cells)


# ---------------------------------------------------------------------------------------------------- probing
def row(name: str, kind: str, generalist: int, expert: int | None) -> probe.Row:
    known = {} if expert is None else {"expert": "1" * expert + "0" * (40 - expert)}
    return {"name": name, "kind": kind, "level": 2, "generalist": "1" * generalist + "0" * (40 - generalist), **known}


def test_levels_are_chosen_by_hand() -> None:
    """Of 40: 2 right is 5%, not sparse; an expert needs 4 more right than the adapter; one level of each kind."""
    rows = [
        row("known", "chain_sum", 2, 30),
        row("best", "leg_counting", 1, 20),
        row("second", "leg_counting", 0, 15),
        row("just", "products", 1, 5),
        row("short", "spell_backward", 1, 4),
        row("unknown", "lcm", 0, None),
    ]
    assert [each["name"] for each in probe.choose(rows)] == ["best", "just"]


@pytest.mark.slow
def test_probing_is_written_and_goes_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny model gets nothing right: the level is sparse, and its expert no better, so nothing is chosen."""
    levels = place.work / "levels.json"
    named = [{"name": "more-legs", "kind": "leg_counting", "level": 2, "chosen": True}]
    levels.write_text(json.dumps({"probed": False, "seed": None, "problems": 0, "levels": named}))
    monkeypatch.setattr(probe, "sparse", lambda file: small(sparse(file)))
    probe.probe(3, place, levels, problems=2)
    found = json.loads(levels.read_text())
    assert found["probed"] and found["seed"] == 3
    assert found["levels"] == [{**named[0], "chosen": False, "generalist": "00", "expert": "00"}]
    assert (place.work / "start-probe-more-legs" / "3" / "more-legs").exists()
    monkeypatch.setattr(probe, "_right", None)  # nothing is asked twice
    probe.probe(3, place, levels, problems=2)
