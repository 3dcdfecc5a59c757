"""Groups of runs compared seed by seed: values by hand, what is warned about, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from league.cli import app
from league.errors import UserError
from league.reporting.queries.seed_groups import GroupComparison, compare_groups, find_runs, read_group
from league.store.records import RoundRecord
from league.store.run import RunStore
from league.types import Version, VersionRow

ADA = Version("ada", 0)


def make_run(folder: Path, seed: int, right: str | None, *, final: int = 4, kl: float = 0.0, tokens: int = 100) -> Path:
    """A run of one round whose only learner answered the last exam so; None: it has not sat it."""
    exams = [{"version": "ada@0", "domain": "sums", "split": "test", "correct": right}]
    config = {"seed": seed, "domains": {}, "evaluation": {"final_problems": final}, "learning": {"kl": kl}}
    row = VersionRow(ADA, "student", 0, blob=None, optimizer=None, parents=(), reason="created")
    members = [{"name": "ada", "role": "student", "version": "ada@0", "trains": True}]
    state: dict[str, Any] = {
        "marks": {} if right is None else {"end": {"exams": exams}},
        "config": config,
        "population": {"members": members, "pasts": {}},
        "tokens": {"sampled": tokens, "trained": 0},
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with RunStore.create(folder, "name: x\n") as store:
        store.commit(
            RoundRecord(round=0, versions=(row,), matches=(), ratings=(), scalars={}, live={"ada": ADA}, state=state)
        )
    return folder


def compared(first: list[Path], second: list[Path]) -> GroupComparison:
    return compare_groups(read_group(first), read_group(second))


@pytest.fixture
def arms(tmp_path: Path) -> Path:
    """Seeds 1, 2, 3: accuracies ¾, ½, ½ in one arm; ½, ¼, ½ in the other."""
    for arm, answers in (("a", ("1110", "1100", "0011")), ("b", ("1010", "1000", "0101"))):
        for seed, right in enumerate(answers, 1):
            make_run(tmp_path / arm / f"seed-{seed}", seed, right)
    return tmp_path


def test_the_interval_is_over_seeds(arms: Path) -> None:
    """d = ¼, ¼, 0: mean 1/6, s = √(1/48), and t(97.5%, 2) = 4.302653 gives ± 4.302653 · s / √3 = 0.358554."""
    found = compared(find_runs(str(arms / "a")), find_runs(str(arms / "b")))
    assert found.warnings == () and [row.comparison.domain for row in found.rows] == ["sums", "all"]
    for row in found.rows:
        difference = row.comparison.difference
        assert row.over == "seeds" and row.by_seed == {1: 0.25, 2: 0.25, 3: 0.0}
        assert difference is not None and difference.n == 3
        assert difference.value == pytest.approx(1 / 6)
        assert (difference.low, difference.high) == pytest.approx((1 / 6 - 0.358554, 1 / 6 + 0.358554), abs=1e-6)
        assert row.comparison.first is not None and row.comparison.first.value == pytest.approx(7 / 12)


def test_swapped_groups_give_the_opposite(arms: Path) -> None:
    a, b = (find_runs(str(arms / arm)) for arm in "ab")
    one, other = (compared(*pair).rows[0].comparison.difference for pair in ((a, b), (b, a)))
    assert one is not None and other is not None and one.low is not None and other.high is not None
    assert (one.value, one.low) == pytest.approx((-other.value, -other.high))


def test_one_seed_has_the_interval_of_two_runs(arms: Path) -> None:
    """Over problems: 1110 against 1010 differs in one of four, d = ¼ ± t(97.5%, 3) · ½ / √4."""
    (row, _) = compared([arms / "a" / "seed-1"], [arms / "b" / "seed-1"]).rows
    assert row.over == "problems" and row.by_seed == {1: 0.25}
    assert row.comparison.difference is not None
    assert row.comparison.difference.low == pytest.approx(0.25 - 3.182446 * 0.5 / 2, abs=1e-6)


def test_equal_differences_have_no_interval(tmp_path: Path) -> None:
    for arm, right in (("a", "1100"), ("b", "1000")):
        for seed in (1, 2):
            make_run(tmp_path / arm / f"seed-{seed}", seed, right)
    difference = compared(find_runs(str(tmp_path / "a")), find_runs(str(tmp_path / "b"))).rows[0].comparison.difference
    assert difference is not None and (difference.value, difference.low, difference.n) == (0.25, None, 2)


def test_what_is_not_comparable_is_said(arms: Path) -> None:
    make_run(arms / "a" / "seed-4", 4, "1111")
    make_run(arms / "a" / "seed-5", 5, "1111", kl=0.5)
    make_run(arms / "b" / "seed-5", 5, "11110000", final=8)
    make_run(arms / "a" / "seed-6", 6, "1111")
    make_run(arms / "b" / "seed-6", 6, None)
    found = compared(find_runs(str(arms / "a")), find_runs(str(arms / "b")))
    text = "\n".join(found.warnings)
    assert "only the first group has seed 4: left out" in text
    assert "a/seed-5 differ in more than their seed: learning.kl" in text
    assert "seed 5: " in text and "sat different test problems" in text
    assert "seed 6 is left out: no last exam in " in text
    assert [one.seed for one, _ in found.pairs] == [1, 2, 3, 5]


def test_what_cannot_be_compared_is_refused(arms: Path) -> None:
    other = make_run(arms / "c" / "seed-9", 9, "1111")
    twice = make_run(arms / "a2" / "again", 1, "1111")
    unfinished = make_run(arms / "d" / "seed-1", 1, None)
    a = find_runs(str(arms / "a"))
    with pytest.raises(UserError, match="no seed in common: seeds 1, 2, 3 and seeds 9"):
        compared(a, [other])
    with pytest.raises(UserError, match="both have seed 1"):
        compared([*a, twice], a)
    with pytest.raises(UserError, match="no pair of runs has sat its last exam"):
        compared(a, [unfinished])
    with pytest.raises(
        UserError, match="neither a run nor a folder of runs; it holds sweep arms, name one: a, a2, b, c"
    ):
        find_runs(str(arms))
    with pytest.raises(UserError, match="no run matches"):
        find_runs(str(arms / "a" / "nothing-*"))


def test_the_ways_to_name_a_group(arms: Path) -> None:
    runs = [arms / "a" / f"seed-{seed}" for seed in (1, 2, 3)]
    assert find_runs(str(arms / "a")) == find_runs(f"{arms}/a/seed-*") == runs
    assert find_runs(f"{runs[0]},{arms}/a/seed-[23]") == runs and find_runs(f"{arms}/[ax]") == runs
    assert find_runs(str(runs[0])) == runs[:1]
    comma = make_run(arms / "with,comma", 1, "1")
    assert find_runs(str(comma)) == [comma]


def test_the_command_prints_json_and_a_picture(arms: Path) -> None:
    words = ["compare", str(arms / "a"), str(arms / "b"), "--equal", "tokens"]
    shown = CliRunner().invoke(app, [*words, "--json", "--out", str(arms / "p.svg")])
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.output)
    assert found["pairs"][0]["seed"] == 1 and found["warnings"] == []
    assert found["domains"][0]["interval_over"] == "seeds" and found["domains"][0]["difference"]["n"] == 3
    assert "3 seeds" in (arms / "p.svg").read_text()
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 0 and "paired" in shown.output and "held equal" in shown.output
    make_run(arms / "b" / "seed-7", 7, "1111", tokens=300)
    make_run(arms / "a" / "seed-7", 7, "1111")
    shown = CliRunner().invoke(app, words)
    assert "warning: not equal in what --equal names" in shown.output


@pytest.mark.parametrize("name", ["p.gif", "nowhere/p.png", "a/seed-1/p.png", "."])
def test_a_picture_has_a_place(arms: Path, name: str) -> None:
    shown = CliRunner().invoke(app, ["compare", str(arms / "a"), str(arms / "b"), "--out", str(arms / name)])
    assert isinstance(shown.exception, UserError) and "--out" in str(shown.exception)
