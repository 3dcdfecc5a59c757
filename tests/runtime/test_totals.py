"""What a run has spent survives storage, and what an older run did not count stays unknown."""

import json

from hypothesis import given
from hypothesis import strategies as st

from league.learning.accounting import Spent
from league.runtime.totals import Totals, from_ranges, to_ranges

SPENT = Spent(
    sampled=5,
    read=7,
    scored=2,
    trained={"max": {"supervised": 3}, "ada": {"own_samples": 4}},
    flops={"playing": 10**16, "training": 3},
    verifier_calls=6,
    given=frozenset({"sums/train/0", "sums/train/1", "sums/train/5", "a/b/train/2"}),
    verified=frozenset({"sums/train/9"}),
)


def through_json(totals: Totals) -> Totals:
    return Totals.from_json(json.loads(json.dumps(totals.to_json())))


def test_totals_come_back_as_they_were() -> None:
    totals = Totals().more(SPENT).more(SPENT, measured=Spent(sampled=1, read=2, flops={"playing": 3}))
    assert through_json(totals) == totals and json.dumps(through_json(totals).to_json()) == json.dumps(totals.to_json())
    assert totals.tokens == {"sampled": 10, "trained": 14, "scored": 4, "read": 14}
    assert totals.budget == 24, "sampled and trained only"
    assert through_json(Totals()) == Totals()


def test_what_an_older_run_did_not_count_stays_unknown() -> None:
    old = Totals.from_json({"tokens": {"sampled": 100, "trained": 50}})
    later = through_json(old.more(SPENT, measured=SPENT))
    assert later.to_json() == {"tokens": {"sampled": 105, "trained": 57}}
    assert later.budget == 162 and not later.complete


@given(st.frozensets(st.tuples(st.sampled_from(["sums/train", "a/b/test"]), st.integers(0, 40))))
def test_ranges_are_the_same_problems(places: frozenset[tuple[str, int]]) -> None:
    keys = frozenset(f"{where}/{index}" for where, index in places)
    assert from_ranges(to_ranges(keys)) == keys


def test_ranges_are_short() -> None:
    assert to_ranges(SPENT.given) == {"a/b/train": [2, 3], "sums/train": [0, 2, 5, 6]}
