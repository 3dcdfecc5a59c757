"""The hypotheses of docs/pays.md on invented cells: leads, Holm's correction, the page and its pictures."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student

from benchmarks.pays.cells import Cell, Cells
from benchmarks.pays.hypotheses import HYPOTHESES, corrected, criteria, leads
from benchmarks.pays.page import write_page
from benchmarks.pays.pictures import all_arms, map_of_regimes
from benchmarks.pays.regimes import EIGHT

PRIVATE_MEANS = {
    "start": 0.09,
    "magrpo": 0.14,
    "magrpo_selected": 0.17,
    "rejection": 0.12,
    "league_as_it_was": 0.11,
    "league": 0.45,
    "wrong_domain": 0.08,
    "merge": 0.10,
    "experts": 0.62,
    "pooled": 0.55,
}


def answers(regime: str, arm: str, seed: int, share: float) -> Cell:
    rng = np.random.default_rng(seed)
    bits = {domain: "".join("01"[int(rng.random() < share)] for _ in range(50)) for domain in EIGHT}
    return Cell(regime, arm, seed, bits, {"sampled": 20_000.0, "trained": 4_000.0, "flops": 3e15}, 24_000)


def game(regime: str, arm: str, seed: int, **figures: float) -> Cell:
    return Cell(regime, arm, seed, {}, {"games": 100.0}, 100, figures=figures)


def invented() -> list[Cell]:
    """Six seeds of private and two that do not count, three of public, one of crowded, both games; no sparse."""
    cells = [answers("private", arm, seed, mean) for arm, mean in PRIVATE_MEANS.items() for seed in range(3, 9)]
    cells += [answers("private", arm, seed, 0.5) for arm in ("magrpo", "league") for seed in (1, 2)]
    cells += [answers("public", arm, seed, 0.55) for arm in ("start", "magrpo", "league") for seed in (1, 2, 3)]
    cells += [answers("crowded", arm, 1, mean) for arm, mean in (("magrpo", 0.3), ("league", 0.36))]
    for seed in range(1, 7):
        cells += [
            game("nontransitive", "league", seed, exploitability=0.1 + 0.01 * seed),
            game("nontransitive", "self", seed, exploitability=0.5 + 0.03 * seed),
            game("collaborative", "league", seed, **{"stranger 1": 0.3, "stranger 2": 0.02 * seed}),
            game("collaborative", "self", seed, **{"stranger 1": 0.5, "stranger 2": 0.25}),
            game("collaborative", "self_own", seed, own=0.9),
        ]
    return cells


def test_a_lead_is_over_the_best_baseline_and_above_zero_is_ahead() -> None:
    found = leads(invented())
    assert list(found) == [each.name for each in HYPOTHESES]
    private, games, partners = found["private"], found["nontransitive"], found["collaborative"]
    assert private is not None and private.baseline == "magrpo_selected" and private.verdict == "ahead"
    assert private.found.seeds == 6, "seeds 1 and 2 have informed the league"
    # exploitability: self 0.5 + 0.03 s, league 0.1 + 0.01 s, so 40 + 2 s points, 47 on average
    assert games is not None and games.found.mean == pytest.approx(47.0) and games.verdict == "ahead"
    # return: 0.375 against 0.15 + 0.01 s
    assert partners is not None and partners.found.mean == pytest.approx(-19.0) and partners.verdict == "behind"
    assert found["public"] is not None and found["public"].missing == ("rejection", "more_supervised")
    assert found["public"].verdict == "tie" and found["sparse"] is None
    assert found["crowded"] is not None and found["crowded"].verdict == "no interval"


def test_hypotheses_that_were_not_run_count_in_the_correction() -> None:
    """Six seeds of one sign have p = 2/64; of seven hypotheses the smallest is multiplied by 7.

    Leads of 42, 44, … 52 points: mean 47, standard error 3.742 / √6 = 1.528, t(5) = 30.77.
    """
    cells = [cell for cell in invented() if cell.regime == "nontransitive"]
    flips, tests = corrected(leads(cells))["nontransitive"]
    assert flips == pytest.approx(7 * 2 / 64)
    assert tests == pytest.approx(7 * 2 * student.sf(47 / (14**0.5 / 6**0.5), 5)) and tests < 1e-5
    assert corrected(leads(cells))["sparse"] == (1.0, 1.0)


def test_criteria_are_those_that_were_written_down_before() -> None:
    found = {each.text.partition(",")[0]: each for each in criteria(invented())}
    assert found["flow: at least +15"].met and found["flow: wrong_domain − start at most +2"].met
    assert found["private: at least +10"].met and found["private: not worse in 6 of 8 domains"].found == "8 of 8"
    share = found["private: at least 80% of pooled"]
    assert share.met and 75 < float(share.found.rstrip("%")) < 90
    others = found["others: ahead in at least three of four"]
    assert others.found == "1 of 3 that were run: nontransitive" and not others.met
    assert criteria([]) == []


def test_the_page_has_hypotheses_and_pictures(tmp_path: Path) -> None:
    cells, page = Cells(tmp_path / "cells.json"), tmp_path / "pays.md"
    for cell in invented():
        cells.add(cell)
    write_page(cells, page)
    text = page.read_text()
    assert "| nontransitive | exploitability | self | 6 | +47.0 [" in text
    assert "| sparse | – | – | 0 | not run |" in text and "magrpo (without rejection)" in text
    assert "| others: ahead in at least three of four | 1 of 3 that were run: nontransitive | no |" in text
    assert text.index("## Private") < text.index("## Crowded") < text.index("## Collaborative")
    assert "| self_own | 6 | **90.0** | – | – | 90 |" in text
    assert "| self − self_own | 6 | -52.5 [-52.5, -52.5] |" in text
    for name in ("pays_map.png", "pays_private.png"):
        assert f"]({name})" in text and (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_pictures_say_what_was_not_run() -> None:
    axes = map_of_regimes(leads(invented())).axes[0]
    shown = [text.get_text() for text in axes.texts]
    assert shown.count("not run") == 1 and any("over self, 6 seeds: behind" in text for text in shown)
    assert len(axes.get_yticklabels()) == len(HYPOTHESES)
    nothing = map_of_regimes(leads([]))
    assert [text.get_text() for text in nothing.axes[0].texts] == ["not run"] * len(HYPOTHESES)
    assert [text.get_text() for text in all_arms({}, "Private").axes[0].texts] == ["not run"]


def test_every_seed_is_a_dot() -> None:
    by_arm = {"league": [answers("private", "league", seed, 0.4) for seed in (1, 2, 3)]}
    dots = [line for line in all_arms(by_arm, "Private").axes[0].lines if line.get_marker() == "o"]
    assert [len(line.get_xdata()) for line in dots] == [3]  # type: ignore[arg-type]
