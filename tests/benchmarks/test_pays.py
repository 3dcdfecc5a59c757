"""The experiment of docs/pays.md: statistics by hand, arms that the program accepts, cells that survive."""

from pathlib import Path

import pytest
import yaml

from benchmarks.pays import arms
from benchmarks.pays.cells import Cell, Cells
from benchmarks.pays.page import write_page
from benchmarks.pays.regimes import NAMES, regime_of
from benchmarks.pays.statistics import closed_share, difference, holm, sign_flip
from league.config import parse_config


def cell(arm: str, seed: int, right: str, other: str = "0000", **spent: float) -> Cell:
    return Cell("private", arm, seed, {"sums": right, "texts": other}, spent, 24_000)


def test_a_difference_is_paired_by_seed() -> None:
    """Seeds 1 and 2: gaps of 25 and 12.5 points; mean 18.75, t(1) = 12.706, sd 8.839."""
    one = [cell("a", 1, "1100"), cell("a", 2, "1000"), cell("a", 3, "1111")]
    other = [cell("b", 2, "0000"), cell("b", 1, "0000")]
    found = difference(one, other)
    assert found is not None and found.seeds == 2 and found.mean == pytest.approx(18.75)
    assert found.high - found.mean == pytest.approx(12.706 * 8.8388 / 2**0.5, rel=1e-3)
    assert found.domains == {"sums": 37.5, "texts": 0.0}
    assert difference(one, []) is None


def test_the_sign_flip_test_by_hand() -> None:
    """All six of one sign: 2 of 64 flips are as extreme. (1, −1): every flip is at least as extreme as 0."""
    assert sign_flip([1, 2, 3, 4, 5, 6]) == pytest.approx(2 / 64)
    assert sign_flip([1.0, -1.0]) == 1.0
    assert sign_flip([1.0] * 20) < 0.001


def test_holm_by_hand() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})


def test_the_share_of_a_gap() -> None:
    assert closed_share(0.1, 0.5, 0.9, 5_000) == pytest.approx(1.0)
    assert closed_share(0.5, 0.6, 0.52, 5_000) is None


@pytest.mark.parametrize("name", sorted(arms.ARMS))
@pytest.mark.parametrize("regime", NAMES)
def test_every_arm_is_a_configuration(name: str, regime: str, tmp_path: Path) -> None:
    chosen = regime_of(regime)
    config = parse_config(yaml.safe_dump(arms.arm(chosen, name, 3, work=tmp_path)), name)
    assert config.league.token_budget == arms.BUDGET and config.seed == 3
    assert config.evaluation.final_problems == 1, "the exam is held once, by the benchmark"
    assert config.league.skip_problems >= chosen.solutions, "no match asks what somebody has learned a solution of"
    assert {(d.kind, d.level) for d in config.domains.values()} == set(chosen.domains.values())


def test_the_main_arms_are_arms() -> None:
    assert {each for name in NAMES for each in regime_of(name).arms} | set(arms.ABLATIONS) == set(arms.ARMS)


def test_cells_are_kept_and_replaced_by_key(tmp_path: Path) -> None:
    cells = Cells(tmp_path / "cells.json")
    cells.add(cell("a", 2, "1100"))
    cells.add(cell("a", 1, "1100"))
    cells.add(cell("a", 2, "1111", sampled=5.0))
    assert [each.key for each in cells] == [("private", "a", 1), ("private", "a", 2)]
    assert ("private", "a", 2) in cells and ("private", "a", 9) not in cells
    assert list(cells)[1].accuracy("sums") == 1.0 and list(cells)[1].accuracy() == 0.5


def test_cells_of_games_have_figures_and_older_files_are_read(tmp_path: Path) -> None:
    cells = Cells(tmp_path / "cells.json")
    cells.path.write_text(
        '[{"regime": "private", "arm": "a", "seed": 1, "right": {"sums": "10"}, "spent": {}, "budget": 0}]'
    )
    cells.add(Cell("collaborative", "league", 1, {}, {"games": 8.0}, 8, figures={"stranger 1": 0.5, "stranger 2": 1.0}))
    game, older = cells
    assert older.accuracy() == 0.5 and older.parts == ("sums",) and not older.figures
    assert game.accuracy() == 0.75 and game.accuracy("stranger 2") == 1.0 and game.parts == ("stranger 1", "stranger 2")
    assert '"figures"' not in cells.path.read_text().split("\n")[2], "cells without figures are stored as before"


def test_the_page_keeps_what_is_written_by_hand(tmp_path: Path) -> None:
    cells, page = Cells(tmp_path / "cells.json"), tmp_path / "pays.md"
    for seed in (1, 2):
        cells.add(cell("start", seed, "0000"))
        cells.add(cell("experts", seed, "1111"))
        cells.add(cell("league", seed, "1100", sampled=4_000.0, trained=1_000.0, flops=2e15))
        cells.add(cell("magrpo", seed, "1000", sampled=4_000.0, trained=1_000.0, flops=2e15))
    page.write_text("# By hand\n\nCommand: old\n")
    write_page(cells, page)
    text = page.read_text()
    assert text.startswith("# By hand") and "old" not in text
    assert "| league − magrpo | 2 | +12.5 " in text
    # half of the gap with 2,500 tokens a domain is twice the gap with 10,000; the expert of texts is no better
    assert "| league | +2.00 | – |" in text
    assert "| league | 2 | **25.0** | 50 | 0 | 5,000 | 2 |" in text
