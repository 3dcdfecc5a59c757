"""The supervised warm-up: what it leaves behind for the first policy-gradient step."""

import torch

from league.config import WarmupPhase
from league.learning.objective import Objective
from league.learning.warmup import Curriculum, supervised_sample, targets, warm_up
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.types import Version
from tasks.domains import make_domain


def test_warm_up_teaches_and_leaves_no_moments(tiny: BaseModel) -> None:
    """The loss on the targets falls.

    AdamW starts the next objective with neither moments nor steps.
    """
    bank, agent = AdapterBank(tiny), Version("ada", 0)
    bank.add(agent, LoraSpec(), seed=1, trainable=True)
    losses: list[float] = []
    curriculum = Curriculum(
        "ada", (make_domain("chain_sum", seed=1),), WarmupPhase(problems=8, epochs=6, batch=8, learning_rate=2e-2)
    )
    before = bank.slice(agent).params_P.clone()
    warm_up(
        tiny,
        bank,
        [curriculum],
        Objective(aggregation="token"),
        1,
        progress=lambda step, steps, report: losses.append(report["ada"].loss),
    )
    assert losses[-1] < losses[0] - 0.1
    item = bank.slice(agent)
    assert not torch.equal(item.params_P, before)
    assert item.moments_2P is not None and not item.moments_2P.any() and item.steps == 0


def test_targets_are_the_same_for_the_same_seed_and_end_with_the_end_token(tiny: BaseModel) -> None:
    curriculum = Curriculum(
        "ada", (make_domain("chain_sum", seed=1),), WarmupPhase(problems=6, examples=0.5, explain=0.2)
    )
    assert targets(curriculum, 3) == targets(curriculum, 3) != targets(curriculum, 4)
    assert all(
        supervised_sample(tiny, "ada", target).tokens[-1] == tiny.tokenizer.eos_token_id
        for target in targets(curriculum, 3)
    )
