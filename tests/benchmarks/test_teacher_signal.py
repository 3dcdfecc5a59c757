"""The statistics of `benchmarks.teacher_signal`, on tables whose answer is known."""

import numpy as np
import pytest

from benchmarks.teacher_signal.page import components, correlation, page, summary


def test_components_of_a_table_that_was_made_from_them() -> None:
    """Gains 3 g + q + noise: wordings have variance 9, the rest 4; 400 tables pin both to a few percent.

    The two mean squares have 400 · 3 and 400 · 21 degrees of freedom: standard errors 9 · sqrt(2/1200) = 0.37 and
    4 · sqrt(2/8400) = 0.06, of which 4.5 are allowed (false alarm < 1e-5).
    """
    stream = np.random.default_rng(1)
    tables = [
        3 * stream.normal(size=(4, 1)) + 5 * stream.normal(size=(1, 8)) + 2 * stream.normal(size=(4, 8))
        for _ in range(400)
    ]
    signal, rest = components(tables)
    assert signal == pytest.approx(9, abs=1.9) and rest == pytest.approx(4, abs=0.28)
    additive = [np.add.outer([0.0, 2.0], [0.0, 1.0, 7.0])]
    assert components(additive) == pytest.approx((2.0, 0.0))  # the variance of 0 and 2 is 2
    assert components([np.array([[0.0, 2.0], [2.0, 0.0]])])[0] == 0.0  # no sign of a difference: not below zero


def test_correlation_is_taken_within_a_solved_problem() -> None:
    truth = [np.array([0.0, 1.0]), np.array([5.0, 6.0])]
    same = [np.array([[7.0, 7.0], [9.0, 9.0]]), np.array([[1.0, 1.0], [3.0, 3.0]])]
    assert correlation(same, truth, 1) == pytest.approx(1.0)
    assert correlation([same[0], -same[1]], truth, 2) == pytest.approx(0.0)
    assert correlation([table * 0 for table in same], truth, 2) == 0.0


def test_the_page_says_what_the_tables_say() -> None:
    stream = np.random.default_rng(2)

    def table() -> dict[str, object]:
        good = stream.normal(size=(3, 1))
        kinds = {
            "accuracy": 0.1 * good + stream.normal(size=(3, 4)),
            "expected_accuracy": 0.1 * good + 0.5 * stream.normal(size=(3, 4)),
            "likelihood": good + 0.1 * stream.normal(size=(3, 4)),
            "held": good + 0.1 * stream.normal(size=(3, 4)),
        }
        rows = {kind: np.vstack([values, np.zeros((2, 4))]).tolist() for kind, values in kinds.items()}
        rows["held"] = rows["held"][:3]
        redrawn = {f"redrawn/{kind}": 0.1 for kind in kinds}
        return {"domain": "sums", "problem": "p", "control": 0.25, **rows, **redrawn}

    cost = {"sampled": 100.0, "scored": 10.0, "computed": 40.0}
    result = {
        "command": "c", "wordings": 3, "cpu_seconds": 1, "distinct": [4] * 20, "tables": [table() for _ in range(20)],
        "tokens_per_cell": dict.fromkeys(("accuracy", "expected_accuracy", "likelihood"), cost),
    }  # fmt: skip
    found = summary(result)
    assert found["likelihood"]["correlation_match"] > 0.9 > found["accuracy"]["correlation_match"]
    assert found["likelihood"]["signal_to_noise"] > 5 * found["accuracy"]["signal_to_noise"]
    assert found["likelihood"]["redrawn"] == pytest.approx((0.1 / 8) ** 0.5)
    text = page(result)
    row = next(line for line in text.splitlines() if line.startswith("| likelihood | ") and line.endswith("yes |"))
    assert f"{found['likelihood']['correlation_match']:.2f}" in row
