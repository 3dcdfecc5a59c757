"""The memory of useful examples: what it keeps, and what it gives back among new ones."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from league.config import parse_config, try_parse_config
from league.learning.channels.kept import KeptReply
from league.learning.channels.replay import ReplayMemory
from league.loop import train
from league.preflight.checks import prepare
from league.store.reader import RunReader
from league.types import Version
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, every_channel

EXPERT = Version("expert", 3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


def kept(index: int, domain: str = "sums", learner: str = "student", **changes: object) -> KeptReply:
    fields = {"tokens": (3, index), "weight": 1.0, "since": index, "problem": f"{domain}/train/{index}"}
    return KeptReply(learner=learner, teacher=EXPERT, domain=domain, **(fields | changes))


def memory(**counts: int) -> ReplayMemory:
    rows = [kept(i, domain) for domain, count in counts.items() for i in range(count)]
    return ReplayMemory().remembered(rows, capacity=1000)


@pytest.mark.parametrize(("share", "new", "old"), [(0.0, 8, 0), (0.5, 8, 8), (0.75, 8, 24), (0.2, 8, 2), (0.5, 0, 0)])
def test_a_share_of_the_samples_is_old(share: float, new: int, old: int) -> None:
    drawn = memory(sums=40, texts=40).drawn("student", new, share, np.random.default_rng(0))
    assert len(drawn) == old == len({row.key for row in drawn}), "and none twice"


def test_domains_are_rehearsed_alike_however_much_each_has_taught() -> None:
    """4,000 draws of two from 90 and 10: each domain's share of the first is 1/2, within five standard errors."""
    full, rng = memory(sums=90, texts=10), np.random.default_rng(1)
    first = Counter(full.drawn("student", 2, 0.5, rng)[0].domain for _ in range(4000))
    assert abs(first["texts"] - 2000) < 5 * np.sqrt(4000 / 4)


def test_a_small_memory_gives_all_it_has() -> None:
    drawn = memory(sums=2, texts=1).drawn("student", 8, 0.5, np.random.default_rng(0))
    assert Counter(row.domain for row in drawn) == {"sums": 2, "texts": 1}
    assert ReplayMemory().drawn("student", 8, 0.5, np.random.default_rng(0)) == []
    assert memory(sums=5).drawn("other", 8, 0.5, np.random.default_rng(0)) == [], "each learner has its own"


def test_the_newest_of_every_learner_and_domain_stay() -> None:
    rows = [kept(i, domain, learner) for i in range(6) for domain in ("sums", "texts") for learner in ("a", "b")]
    found = ReplayMemory().remembered(rows, capacity=4)
    assert Counter((row.learner, row.domain) for row in found.rows) == {
        (learner, domain): 4 for learner in ("a", "b") for domain in ("sums", "texts")
    }
    assert {row.since for row in found.rows} == {2, 3, 4, 5}
    assert {row.learner for row in found.kept(["a"]).rows} == {"a"}


def test_what_is_learned_again_is_kept_once_and_as_it_was() -> None:
    once = ReplayMemory().remembered([kept(1)], 10)
    assert once.remembered([kept(1, since=9), kept(1, since=9)], 10) == once
    assert len(once.remembered([kept(1, tokens=(7,))], 10).rows) == 2, "another solution of the same problem"


def test_the_memory_comes_back_from_json() -> None:
    full = ReplayMemory().remembered([kept(1), kept(2, channel="lessons", weight=0.3)], 10)
    assert ReplayMemory.from_json(json.loads(json.dumps(full.to_json()))) == full


def test_rows_of_before_the_memory_are_worked_replies() -> None:
    row = kept(1).to_json()[:7]
    assert KeptReply.from_json(row) == kept(1)


def test_a_round_learns_old_examples_beside_new_ones(model: Path, tmp_path: Path) -> None:
    """Exactly half of the texts of a later round were learned before, on the learner's own prompt."""
    data = every_channel(model, tmp_path / "runs", league__rounds=4)
    data["learning"]["channels"]["replay"] = {"share": 0.5, "capacity": 100}
    folder = train(prepare(parse_config(yaml.safe_dump(data), "replay")), Nobody())
    with RunReader.read(folder) as reader:
        scalars = [reader.round_scalars(number) for number in range(1, 5)]
        memory = reader.state()["replay"]
    old = [sum(v for name, v in each.items() if name.endswith("/replayed")) for each in scalars]
    texts = [
        sum(
            v for n, v in each.items() if n.startswith(("channel/worked", "channel/lessons")) and n.endswith("/samples")
        )
        for each in scalars
    ]
    assert old[0] == 0 and sum(old) > 0, old
    for number in range(1, 4):
        fresh = texts[number] - old[number]
        assert old[number] <= fresh, "no more than were new; fewer only while the memory is small"
    assert {row[7] for row in memory} == {"worked_replies", "lessons"}


@pytest.mark.parametrize("wrong", [{"share": 1.0}, {"share": -0.1}, {"share": float("nan")}, {"capacity": 0}])
def test_a_share_of_all_is_refused(model: Path, tmp_path: Path, wrong: dict[str, float]) -> None:
    """With nothing but old examples nothing new would be learned; the message names the setting."""
    data = every_channel(model, tmp_path / "runs")
    data["learning"]["channels"]["replay"] = wrong
    found = try_parse_config(yaml.safe_dump(data), "replay")
    assert any(f"learning.channels.replay.{next(iter(wrong))}" in problem for problem in found.problems)
