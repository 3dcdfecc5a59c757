"""Merging adapters through PEFT.

The change of the weights is what each method says, whatever ranks and scales the parents have.
"""

import numpy as np
import pytest
import torch

from league.errors import ConfigError, LeagueError
from league.model.bank import AdapterBank, LoraSpec
from league.model.merging import METHODS, merge_adapters
from league.types import Message, Request, Sampling, Version

PARENTS = (Version("ann", 3), Version("bob", 5))
TARGET = Version("child", 0)


def change(bank: AdapterBank, version: Version) -> dict[str, torch.Tensor]:
    """ΔW of every target."""
    item = bank.slice(version)
    return {
        path: item.layout.spec.scale * item.layout.b(item.params_P, path) @ item.layout.a(item.params_P, path)
        for path in item.layout.entries
    }


@pytest.fixture
def bank(tiny) -> AdapterBank:
    bank = AdapterBank(tiny)
    for seed, (version, spec) in enumerate(
        zip(
            PARENTS, (LoraSpec(2, 4.0, ("q_proj", "down_proj")), LoraSpec(3, 9.0, ("q_proj", "down_proj"))), strict=True
        )
    ):
        bank.add(version, spec, seed=seed, trainable=True)
        bank.slice(version).params_P.normal_(generator=torch.Generator().manual_seed(seed))
        bank.changed(version)
    return bank


@pytest.mark.parametrize(("method", "rank"), [("cat", None), ("svd", 5)])
def test_cat_and_svd_of_full_rank_are_the_weighted_sum(bank: AdapterBank, method: str, rank: int | None) -> None:
    before = {parent: bank.slice(parent).params_P.clone() for parent in PARENTS}
    base = {name: value.clone() for name, value in bank.base.model.state_dict().items()}
    merge_adapters(bank, PARENTS, TARGET, method, weights=[0.7, 0.3], rank=rank)
    first, second = (change(bank, parent) for parent in PARENTS)
    for path, found in change(bank, TARGET).items():
        torch.testing.assert_close(found, 0.7 * first[path] + 0.3 * second[path], rtol=1e-4, atol=1e-5)
    assert bank.spec(TARGET).rank == 5 and bank.optimizer_state(TARGET) == {}
    assert all(torch.equal(bank.slice(parent).params_P, params) for parent, params in before.items())
    assert all(torch.equal(value, base[name]) for name, value in bank.base.model.state_dict().items())


def test_svd_of_a_smaller_rank_is_the_best_of_that_rank(bank: AdapterBank) -> None:
    merge_adapters(bank, PARENTS, TARGET, "svd", rank=2)
    first, second = (change(bank, parent) for parent in PARENTS)
    for path, found in change(bank, TARGET).items():
        wanted = 0.5 * (first[path] + second[path])
        values = torch.linalg.svdvals(wanted)
        assert torch.linalg.matrix_rank(found, tol=1e-4) == 2
        torch.testing.assert_close(
            torch.linalg.norm(wanted - found), torch.linalg.norm(values[2:]), rtol=1e-3, atol=1e-4
        )


def by_hand_ties(deltas: list[np.ndarray], density: float) -> np.ndarray:
    """Trim, elect by summed mass, average those that agree.

    The weights ½ are PEFT's, so the average is halved with them.
    """
    trimmed = []
    for delta in deltas:
        keep = int(density * delta.size)
        cut = np.sort(np.abs(delta).ravel())[::-1][keep - 1]
        trimmed.append(np.where(np.abs(delta) >= cut, delta, 0.0) * 0.5)
    stacked = np.stack(trimmed)
    sign = np.where(stacked.sum(0) >= 0, 1.0, -1.0)
    agree = np.sign(stacked) == sign
    return (stacked * agree).sum(0) / np.maximum(agree.sum(0), 1)


def test_ties_is_ties(bank: AdapterBank) -> None:
    merge_adapters(bank, PARENTS, TARGET, "ties_svd", density=0.5, rank=32)
    first, second = (change(bank, parent) for parent in PARENTS)
    for path, found in change(bank, TARGET).items():
        wanted = by_hand_ties([first[path].numpy(), second[path].numpy()], 0.5)
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-3)


def test_dare_draws_by_its_seed_and_is_unbiased(bank: AdapterBank) -> None:
    state = torch.random.get_rng_state()
    merge_adapters(bank, PARENTS, TARGET, "dare_linear_svd", density=0.5, rank=32, seed=1)
    assert torch.equal(torch.random.get_rng_state(), state), "the global stream is left alone"
    merge_adapters(bank, PARENTS, Version("same", 0), "dare_linear_svd", density=0.5, rank=32, seed=1)
    assert torch.equal(bank.slice(Version("same", 0)).params_P, bank.slice(TARGET).params_P)
    many = []
    for seed in range(2, 42):
        merge_adapters(bank, PARENTS, Version("many", seed), "dare_linear_svd", density=0.5, rank=32, seed=seed)
        many.append(change(bank, Version("many", seed)))
    first, second = (change(bank, parent) for parent in PARENTS)
    path = next(iter(first))
    mean = torch.stack([one[path] for one in many]).mean(0)
    wanted = 0.5 * (first[path] + second[path])
    error = torch.linalg.norm(mean - wanted) / torch.linalg.norm(wanted)
    assert error < 0.35  # each mask's relative error is about 1; the mean of 40 leaves about 0.16


@pytest.mark.parametrize("method", METHODS)
def test_every_merger_can_speak_and_be_trained_on(bank: AdapterBank, method: str) -> None:
    from league.backends.local import LocalBackend

    merge_adapters(bank, PARENTS, TARGET, method)
    bank.clone(TARGET, Version("child", 1), trainable=True)
    request = Request(Version("child", 1), (Message("user", "hello"),), 2, Sampling(max_tokens=4), 7)
    (replies,) = LocalBackend(bank.base, bank).generate([request])
    assert len(replies) == 2 and all(np.isfinite(reply.logprobs).all() for reply in replies)


def test_what_cannot_be_merged_says_so(bank: AdapterBank) -> None:
    with pytest.raises(ConfigError, match="linear"):
        merge_adapters(bank, PARENTS, TARGET, "linear")
    bank.add(Version("cal", 0), LoraSpec(2, 4.0, ("v_proj",)), seed=9, trainable=False)
    with pytest.raises(LeagueError, match="different layers"):
        merge_adapters(bank, [PARENTS[0], Version("cal", 0)], TARGET, "cat")
    assert TARGET not in bank
