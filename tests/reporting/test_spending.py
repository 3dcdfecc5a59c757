"""What runs have spent, and whether two of them are equal in it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from league.cli import app
from league.learning.accounting import Spent
from league.reporting.queries.spending import HELD, equality, spending
from league.reporting.text.spending import count, other_differences, spending_line, warnings
from league.runtime.totals import Totals
from league.store.records import RoundRecord
from league.store.run import RunStore
from league.types import Version, VersionRow


def state(tokens: int = 1000, flops: int = 10**12, problems: int = 96) -> dict[str, Any]:
    spent = Spent(
        sampled=tokens,
        read=300,
        trained={"ada": {"own_samples": 200, "supervised": 50}},
        flops={"playing": flops, "training": flops},
        verifier_calls=40,
        given=frozenset(f"sums/train/{index}" for index in range(problems)),
        verified=frozenset({"sums/train/200"}),
    )
    measured = Spent(sampled=10, read=20, flops={"playing": 30})
    return json.loads(json.dumps(Totals().more(spent, measured).to_json()))


OLD = {"tokens": {"sampled": 1000, "trained": 250}}


def test_spending_is_read_from_a_state() -> None:
    found = spending(state())
    assert (found.sampled, found.trained, found.scored, found.read, found.budget) == (1000, 250, 0, 300, 1250)
    assert (found.flops, found.solutions, found.verified_solutions, found.verifier_calls) == (2 * 10**12, 96, 1, 40)
    assert (found.measured_tokens, found.measured_flops) == (30, 30)
    assert found.trained_by == {"ada": {"own_samples": 200, "supervised": 50}}
    line = spending_line(found)
    assert "1,000 tokens sampled, 250 trained on" in line and "2e+12 FLOPs" in line and "96 distinct" in line


def test_what_an_old_run_did_not_count_is_unknown_and_not_zero() -> None:
    found = spending(OLD)
    assert found.budget == 1250 and found.flops is found.solutions is found.read is found.measured_tokens is None
    assert spending_line(found) == "1,000 tokens sampled, 250 trained on" and count(None) == "unknown"
    assert spending({"tokens": {}}).budget is None


@pytest.mark.parametrize("equal", ["data", "tokens", "flops"])
def test_equal_runs_earn_no_warning_and_unequal_ones_do(equal: Any) -> None:
    assert warnings(equality(state(), state(), equal), "a", "b") == []
    other = state(tokens=2000, flops=3 * 10**12, problems=136)
    (warning,) = warnings(equality(state(), other, equal), "a", "b")
    gap = {"data": "29.4% apart", "tokens": "44.4% apart", "flops": "66.7% apart"}[equal]
    assert gap in warning and "in a" in warning and "in b" in warning
    (unknown,) = warnings(equality(OLD, state(), equal), "a", "b") or [""]
    assert ("unknown in a," in unknown) == (equal != "tokens")


def test_five_per_cent_are_still_equal() -> None:
    """95 of 100 is exactly 5% of the larger; 94 is more."""
    assert warnings(equality(state(problems=95), state(problems=100), "data"), "a", "b") == []
    assert warnings(equality(state(problems=94), state(problems=100), "data"), "a", "b")


def test_other_differences_are_told_apart() -> None:
    told = other_differences(equality(state(), state(flops=3 * 10**12), "data"), "a", "b")
    assert told == ["FLOPs: 2e+12 in a, 6e+12 in b (66.7% apart)"]
    assert any("unknown in a" in line for line in other_differences(equality(OLD, state(), "tokens"), "a", "b"))


# -------------------------------------------------------------------------------------------------------- commands
def write_run(folder: Path, spent: dict[str, Any]) -> Path:
    state = {
        **spent,
        "population": {"members": [{"name": "ada", "role": "student", "version": "ada@0", "trains": True}]},
        "marks": {},
        "config": {"seed": 0, "domains": {}, "evaluation": {"final_problems": 1}, "league": {"rounds": 1}},
    }
    with RunStore.create(folder, "name: x\n") as store:
        ada = Version("ada", 0)
        row = VersionRow(ada, "student", 0, blob=None, optimizer=None, parents=(), reason="created")
        store.commit(
            RoundRecord(
                round=0,
                versions=(row,),
                matches=(),
                ratings=(),
                scalars={},
                live={"ada": ada},
                state=state,
                figures={},
                seconds=1.0,
            )
        )
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> tuple[str, str, str]:
    written = {"one": state(), "two": state(problems=136), "old": OLD}
    one, two, old = (str(write_run(tmp_path / name, spent)) for name, spent in written.items())
    return one, two, old


def said(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == code, done.output
    return done.output


def test_compare_says_on_what_runs_are_equal(runs: tuple[str, str, str]) -> None:
    one, two, old = runs
    assert "held equal: tokens sampled and trained on, 0.0% apart" in said("compare", one, two, "--equal", "tokens")
    text = said("compare", one, two, "--equal", "data")
    assert "warning" in text and "96 in" in text and "136 in" in text and "29.4% apart" in text
    assert "unknown in" in said("compare", one, old, "--equal", "flops")
    plain = said("compare", one, two)
    assert "warning" not in plain and "held equal" not in plain and "1,000 tokens sampled, 250 trained on" in plain
    said("compare", one, two, "--equal", "luck", code=2)


def test_compare_tells_it_in_json(runs: tuple[str, str, str]) -> None:
    one, two, old = runs
    found = json.loads(said("compare", one, two, "--equal", "data", "--json"))
    assert found["equal"] == "data" and len(found["warnings"]) == 1 and found["tokens"][one]["trained"] == 250
    rows = {row["name"]: row for row in found["quantities"]}
    assert set(HELD.values()) <= rows.keys()
    assert (rows["solutions"]["first"], rows["solutions"]["second"]) == (96, 136)
    assert rows["solutions"]["gap"] == pytest.approx(40 / 136)
    without = json.loads(said("compare", one, old, "--json"))
    assert without["equal"] is None and without["warnings"] == []
    assert {row["name"]: row for row in without["quantities"]}["flops"]["second"] is None


def test_status_and_report_show_it(runs: tuple[str, str, str], tmp_path: Path) -> None:
    one, _, old = runs
    assert "96 distinct solutions" in " ".join(said("status", one).split())
    assert json.loads(said("status", one, "--json"))["spending"]["read"] == 300
    assert json.loads(said("status", old, "--json"))["spending"]["read"] is None
    for run, words in ((one, "<td>2e+12</td>"), (old, "<td>unknown</td>")):
        shown = tmp_path / f"{Path(run).name}.html"
        said("report", run, "--out", str(shown))
        page = shown.read_text(encoding="utf-8")
        assert words in page and ("own samples" in page) == (run == one)
