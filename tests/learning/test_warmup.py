"""The supervised warm-up: what it leaves behind for the first policy-gradient step."""

import copy

import pytest
import torch

from league.config import WarmupPhase
from league.learning.objective import Objective
from league.learning.warmup import Curriculum, WarmupPlan, plan_of, supervised_sample, targets, warm_up
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


def prompts_of(phase: WarmupPhase) -> list[str]:
    """What each target asks."""
    domain = make_domain("chain_sum", seed=1)
    return [target.messages[-1].content for target in targets(Curriculum("ada", (domain,), phase), 3)]


def test_a_phase_has_its_own_range_of_the_problems() -> None:
    """Ranges that do not overlap share no problem. Worked examples keep to the block of 128 their problem is in."""
    domain = make_domain("chain_sum", seed=1)
    mine, yours = (set(prompts_of(WarmupPhase(problems=6, first=first))) for first in (0, 6))
    assert mine == {domain.problem("train", index).question for index in range(6)}
    assert yours == {domain.problem("train", index).question for index in range(6, 12)} and not mine & yours
    block = {domain.problem("train", index).question for index in range(128, 256)}
    shown = targets(Curriculum("ada", (domain,), WarmupPhase(problems=9, first=128, examples=1.0)), 3)
    assert all({m.content for m in target.messages if m.role == "user"} <= block for target in shown)


def test_bare_answers_in_place_of_solutions() -> None:
    """Neither a target nor the worked example before it says how a problem is solved."""
    domain = make_domain("chain_sum", seed=1)
    phase = WarmupPhase(problems=8, examples=0.5)
    answers = {f"Answer: {domain.problem('train', index).answer}" for index in range(8)}
    bare = targets(Curriculum("ada", (domain,), phase.model_copy(update={"answers_only": True})), 3)
    assert {target.text for target in bare} == answers
    examples = [m.content for target in bare for m in target.messages if m.role == "assistant"]
    assert examples and all(text.startswith("Answer: ") and "\n" not in text for text in examples)
    worked = targets(Curriculum("ada", (domain,), phase), 3)
    assert all("\n" in target.text for target in worked) and [len(t.messages) for t in bare] == [
        len(t.messages) for t in worked
    ]


def test_steps_are_those_that_the_warm_up_takes(tiny: BaseModel) -> None:
    """2 domains × 5 problems in batches of 4 are 3 steps, and two epochs of them 6."""
    domains = tuple(make_domain("chain_sum", seed=seed) for seed in (1, 2))
    bank, heard = AdapterBank(tiny), []
    bank.add(Version("ada", 0), LoraSpec(), seed=1, trainable=True)
    curriculum = Curriculum("ada", domains, WarmupPhase(problems=5, epochs=2, batch=4))
    warm_up(tiny, bank, [curriculum], Objective(), 1, progress=lambda step, steps, _: heard.append((step, steps)))
    plan = plan_of([curriculum], 1)
    assert plan.steps == 6 and heard == [(step, 6) for step in range(1, 7)]
    assert [plan.targets_at(step) for step in range(7)] == [4, 4, 2, 4, 4, 2, 0]
    assert plan_of([Curriculum("ada", domains, WarmupPhase(problems=0))], 1).steps == 0


def test_targets_are_the_same_for_the_same_seed_and_end_with_the_end_token(tiny: BaseModel) -> None:
    curriculum = Curriculum(
        "ada", (make_domain("chain_sum", seed=1),), WarmupPhase(problems=6, examples=0.5, explain=0.2)
    )
    assert targets(curriculum, 3) == targets(curriculum, 3) != targets(curriculum, 4)
    assert all(
        supervised_sample(tiny, "ada", target).tokens[-1] == tiny.tokenizer.eos_token_id
        for target in targets(curriculum, 3)
    )


@pytest.mark.parametrize("change", ["nothing", "dtype", "context", "prompt", "reply", "order"])
def test_the_digest_of_a_pass_covers_what_decides_how_it_goes(tiny: BaseModel, change: str) -> None:
    """A checkpoint is continued only by a pass of the same digest.

    Where tokens change, they are those of the last target alone.
    """
    curriculum = Curriculum("ada", (make_domain("chain_sum", seed=1),), WarmupPhase(problems=6, batch=2, epochs=2))
    plan, (*others, last) = plan_of([curriculum], 1), targets(curriculum, 1)
    assert not any(last.messages[-1].content in str(each) or last.text in str(each) for each in others)

    def digest(base: BaseModel, plan: WarmupPlan) -> str:
        bank = AdapterBank(base)
        bank.add(Version("ada", 0), LoraSpec(), seed=1, trainable=True)
        return plan.digest(base, bank, Objective(aggregation="token"))

    model, tokenizer = copy.deepcopy(tiny.model), copy.deepcopy(tiny.tokenizer)
    context, other = tiny.context - (change == "context"), plan
    if change == "dtype":
        model = model.to(torch.float16 if tiny.dtype != torch.float16 else torch.float32)
    elif change in ("prompt", "reply"):
        tokenizer.add_tokens([last.messages[-1].content if change == "prompt" else last.text])
    elif change == "order":
        other = WarmupPlan({"ada": plan.batches["ada"][::-1]}, plan.rates, plan.given)
    base = BaseModel(model, tokenizer, context=context, weight_hash=tiny.weight_hash, name=tiny.name)
    assert (digest(base, other) == digest(tiny, plan)) == (change == "nothing")
