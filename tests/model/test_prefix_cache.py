"""Keys and values kept from turn to turn.

The same tokens and log-probabilities as without, for less, within bounds, never stale.
"""

import pytest
import torch

from league.backends.local import LocalBackend
from league.backends.router import RouterBackend
from league.learning.objective import Objective
from league.learning.update import update
from league.model.bank import AdapterBank, LoraSpec
from league.model.prefix_cache import PrefixCache
from league.rollouts import play
from league.types import Hyper, Match, Message, Reply, Request, Sample, Sampling, Turn, Version
from tests.model.test_fused_engine import fill

A, B = Version("a", 0), Version("b", 0)


def ask(version: Version | None, *said: str, samples: int = 3, seed: int = 1) -> Request:
    messages = tuple(Message("assistant" if i % 2 else "user", text) for i, text in enumerate(said))
    return Request(version, messages, samples, Sampling(0.9, max_tokens=12), seed)


def talk(backend: LocalBackend) -> list[tuple[Reply, ...]]:
    """Three turns of several conversations, two of which branch at every reply.

    Returns all replies.
    """
    open_: list[tuple[Version | None, tuple[str, ...]]] = [
        (A, ("count the apples",)),
        (B, ("count the apples",)),
        (None, ("sing",)),
        (A, ("count",)),
    ]
    every: list[tuple[Reply, ...]] = []
    for turn in range(3):
        replies = backend.generate(
            [ask(version, *said, samples=2, seed=17 * turn + i) for i, (version, said) in enumerate(open_)]
        )
        every.extend(replies)
        pairs = zip(open_, replies, strict=True)
        open_ = [
            (version, (*said, reply.text, f"and then {turn}?")) for (version, said), group in pairs for reply in group
        ]
    return every


def same(ours: list[tuple[Reply, ...]], theirs: list[tuple[Reply, ...]]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        for a, b in zip(one, other, strict=True):
            assert (a.prompt_tokens, a.tokens, a.text, a.finish) == (b.prompt_tokens, b.tokens, b.text, b.finish)
            assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)


@pytest.mark.parametrize("compact", [0.8, 0.0])
def test_turns_reuse_their_prefix_and_say_the_same(tiny, compact):
    bank = fill(AdapterBank(tiny))
    plain, keeping = LocalBackend(tiny, bank, compact=compact), LocalBackend(tiny, bank, compact=compact)
    expected = talk(plain)
    with keeping.prefix_caching():
        found = talk(keeping)
    same(found, expected)
    assert plain.stats.reused_tokens == 0
    assert (
        keeping.stats.reused_tokens > 500
    )  # of about 900 distinct tokens: a random model's words rarely survive decoding and encoding
    with keeping.prefix_caching():
        same(talk(keeping), expected)


def test_nothing_is_kept_outside_or_with_a_limit_of_zero(tiny):
    bank = fill(AdapterBank(tiny))
    for backend in (LocalBackend(tiny, bank), LocalBackend(tiny, bank, cached_tokens=0)):
        with backend.prefix_caching():
            if backend.cached_tokens:
                talk(backend)
        assert backend.engine.prefixes is None
        before = backend.stats.reused_tokens
        talk(backend)
        assert backend.stats.reused_tokens == before


def test_changed_weights_are_not_answered_from_memory(tiny):
    bank = fill(AdapterBank(tiny))
    backend = LocalBackend(tiny, bank)
    with backend.prefix_caching():
        replies = backend.generate([ask(A, "hello"), ask(B, "hello")])
        samples = [Sample("a", r.prompt_tokens, r.tokens, r.logprobs, (-1.0) ** i) for i, r in enumerate(replies[0])]
        update(tiny, bank, samples, {"a": Hyper(0.1)}, Objective())
        after = backend.generate([ask(A, "hello"), ask(B, "hello")])
    same(after, LocalBackend(tiny, bank).generate([ask(A, "hello"), ask(B, "hello")]))
    assert after[0][0].logprobs != replies[0][0].logprobs
    with backend.prefix_caching():
        backend.generate([ask(B, "hello")])
        bank.drop(B)
        bank.add(B, LoraSpec(4), seed=9, trainable=False)
        same(backend.generate([ask(B, "hello")]), LocalBackend(tiny, bank).generate([ask(B, "hello")]))


@pytest.mark.parametrize("limit", [40, 90])
def test_the_limit_holds_and_changes_nothing_else(tiny, limit):
    bank = fill(AdapterBank(tiny))
    backend, sizes = LocalBackend(tiny, bank, cached_tokens=limit), []
    put = PrefixCache.put

    def counted(self, *args):
        put(self, *args)
        sizes.append(self.size)

    with pytest.MonkeyPatch.context() as patch, backend.prefix_caching():
        patch.setattr(PrefixCache, "put", counted)
        found = talk(backend)
    assert 0 < max(sizes) <= limit
    same(found, talk(LocalBackend(tiny, bank)))


def test_the_cache_counts_what_it_holds_and_forgets_the_oldest_first():
    cache = PrefixCache(AdapterBank.__new__(AdapterBank), 10)

    def read(tokens):
        return lambda start, end: (
            torch.tensor(tokens[start:end], dtype=torch.float32).view(1, 1, 1, -1, 1).expand(2, 2, 1, -1, 1).clone()
        )

    def held(tokens):
        pieces = cache.find(None, tokens)
        return torch.cat(pieces, 3)[0, 0, 0, :, 0].tolist() if pieces else []

    for tokens in ((1, 2, 3, 4, 5), (1, 2, 3, 9), (7, 8)):
        cache.put(None, tokens, read(tokens))
    assert cache.size == 8
    assert held((1, 2, 3, 4, 6)) == [1, 2, 3, 4] and held((1, 2, 9)) == [1, 2] and held((2,)) == []
    assert held((1, 2, 3, 4, 5)) == [1, 2, 3, 4, 5] and held((7, 8, 9)) == [7, 8]
    cache.put(None, (5, 5, 5), read((5, 5, 5)))  # 11 tokens: the branch (…, 9) was used longest ago
    assert cache.size == 10 and held((1, 2, 3, 9)) == [1, 2, 3] and held((5, 5, 5)) == [5, 5, 5]
    cache.put(None, tuple(range(100, 111)), read(tuple(range(100, 111))))
    assert held(tuple(range(100, 111))) == []


class TwoTurns:
    """A task in which one player speaks twice, hearing itself."""

    name = "two-turns"

    def _turn(self, *said: str) -> Turn:
        return Turn("say", {"speaker": ask(None, *said).messages}, 2, {"speaker": Sampling(max_tokens=8)})

    def open(self, match):
        return [self._turn("count the apples")]

    def follow(self, match, path):
        if len(path) > 1:
            return []
        (decision, node), *_ = path
        return [self._turn("count the apples", decision.replies["speaker"][node.picks["speaker"]].text, "and again?")]


def test_a_play_remembers_from_stage_to_stage_and_no_longer(tiny):
    bank = fill(AdapterBank(tiny))
    backend = LocalBackend(tiny, bank)
    match = Match("m", "two-turns", round=0, seats={"speaker": A}, problems=(), seed=5)
    for _ in range(2):
        before = backend.stats.reused_tokens
        play([match], {"two-turns": TwoTurns()}, RouterBackend(backend, {}))
        assert backend.stats.reused_tokens - before > 10
        assert backend.engine.prefixes is None
        reused = backend.stats.reused_tokens - before
    assert reused == before  # the second play found nothing of the first
