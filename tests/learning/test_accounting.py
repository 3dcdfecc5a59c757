"""What a run spends, against counts made by hand."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from league.backends.local import LocalBackend
from league.backends.metered import MeteredBackend
from league.config import WarmupPhase, load_config
from league.errors import LeagueError
from league.learning.accounting import (
    Heard,
    ModelSize,
    Spent,
    heard_in,
    model_size,
    played,
    prefix_tokens,
    scored,
    trained,
)
from league.learning.objective import Objective
from league.learning.update import update
from league.learning.warmup import Curriculum, given_solutions, targets, warm_up
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.types import (
    BASE,
    Decision,
    Episode,
    Hyper,
    Match,
    Message,
    PrefixCaching,
    Reply,
    Request,
    Sample,
    Sampling,
    Turn,
    Version,
)
from tasks.domains import make_domain
from tests.conftest import ROOT

ADA, MAX = Version("ada", 3), Version("max", 0)
SIZE = ModelSize(base=1000, head=100, adapters={"ada": 10, "max": 20})
PLAIN = {"ada": Hyper(1e-3), "max": Hyper(1e-3)}


def sample(agent: str, prompt: tuple[int, ...], tokens: int, **changes) -> Sample:
    return Sample(agent, prompt, (7,) * tokens, (), changes.pop("advantage", 1.0), **changes)


# ----------------------------------------------------------------------------------------------------- the model
def test_the_sizes_of_a_tiny_model_by_hand(tiny: BaseModel) -> None:
    """Hidden 32, inner 64, 2 layers, 4 heads of 8, 2 key-value heads.

    A layer has q and o 32·32, k and v 16·32, gate, up and down 64·32 each: 9,216 weights.
    Rank 2 on q and v adds 2·(32 + 32) + 2·(32 + 16) = 224 a layer.
    """
    bank = AdapterBank(tiny)
    bank.add(ADA, LoraSpec(2, 4, ("q_proj", "v_proj")), seed=1, trainable=True)
    size = model_size(bank)
    assert size.base == 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32) == 18_432
    assert size.head == 32 * len(tiny.tokenizer) and size.adapters == {"ada": 2 * 224}
    assert size.forward(BASE) == 2 * 18_432 and size.forward(ADA) == 2 * (18_432 + 448)
    update(tiny, bank, [sample("ada", (5, 6), 4)], PLAIN, Objective())
    assert model_size(bank) == size, "a used engine keeps the sizes"


def test_torch_counts_the_same_forward(tiny: BaseModel) -> None:
    """The matrix products of 7 tokens, which torch counts itself: 2N and 2VH each."""
    size = model_size(AdapterBank(tiny))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        tiny.model(torch.arange(7)[None], use_cache=False)
    assert counter.get_flop_counts()["Global"][torch.ops.aten.mm] == 7 * (size.forward(BASE) + 2 * size.head)


def test_a_head_of_its_own_is_no_part_of_the_base(tmp_path) -> None:
    from tests.conftest import write_tiny_model

    path = write_tiny_model(tmp_path, tie_word_embeddings=False)
    size = model_size(AdapterBank(BaseModel.load(path, device="cpu", dtype="float32", threads=1)))
    assert size.base == 18_432 and size.adapters == {}


def test_who_has_left_counts_as_the_largest() -> None:
    assert SIZE.adapter(Version("gone", 1)) == 20 and SIZE.adapter(BASE) == 0
    assert ModelSize(1, 1, {}).adapter(ADA) == 0


# ------------------------------------------------------------------------------------------------------- reading
@given(st.lists(st.lists(st.integers(0, 2), max_size=6), max_size=12))
def test_read_tokens_are_the_distinct_prefixes(prompts: list[list[int]]) -> None:
    prefixes = {tuple(prompt[: i + 1]) for prompt in prompts for i in range(len(prompt))}
    assert prefix_tokens(prompts) == len(prefixes)


def test_a_shared_prefix_is_read_once_by_each_version() -> None:
    """ada reads 1 2 3 and 1 2 4: four nodes. max reads 1 2 3: three. They draw 4 + 2 tokens.

    FLOPs: ada (4 + 4)·2·1010, max (3 + 2)·2·1020, and 6 rows of logits of 2·100.
    """
    heard = Heard()
    heard.hear(ADA, (1, 2, 3), 1)
    heard.hear(ADA, (1, 2, 3), 1)
    heard.hear(ADA, (1, 2, 4), 2)
    heard.hear(MAX, (1, 2, 3), 2)
    heard.hear(Version("rocky", 0), (), 0)
    found = played(heard, SIZE, verifier_calls=3)
    assert (found.sampled, found.read, found.verifier_calls) == (6, 7, 3)
    assert found.flops == {"playing": 8 * 2020 + 5 * 2040 + 6 * 200}
    assert played(heard, None).flops == {}


def test_everything_said_in_an_episode_is_heard() -> None:
    turn = Turn("answer", {"one": (), "two": ()}, 2, {}, 0)
    said = {
        "one": (Reply("a", "end", (1, 2), (5, 6)), Reply("b", "end", (1, 2), (5,))),
        "two": (Reply("rock", "end"), Reply("rock", "end")),
    }
    match = Match("m", "t", round=1, seats={"one": ADA, "two": Version("rocky", 0)}, problems=(), seed=0)
    heard = heard_in([Episode(match, [Decision(turn, said, [])])])
    assert heard.prompts == {ADA: {(1, 2)}} and heard.sampled == {ADA: 3}


def test_a_metered_backend_hears_what_the_engine_says(tiny: BaseModel) -> None:
    bank, heard = AdapterBank(tiny), Heard()
    bank.add(ADA, LoraSpec(2, 4, ("q_proj",)), seed=1, trainable=True)
    engine = LocalBackend(tiny, bank)
    backend = MeteredBackend(engine, heard.hear)
    asked = [Request(who, (Message("user", "hm"),), 2, Sampling(max_tokens=5), 0) for who in (ADA, None)]
    assert isinstance(backend, PrefixCaching)
    with backend.prefix_caching():
        answers = backend.generate(asked)
    assert answers == engine.generate(asked)
    assert {*heard.prompts} == {ADA, BASE} and heard.prompts[ADA] == {tiny.encode(asked[0].messages)}
    drawn = [sum(len(reply.tokens) for reply in answer) for answer in answers]  # type: ignore[union-attr]
    assert [heard.sampled[ADA], heard.sampled[BASE]] == drawn


# ------------------------------------------------------------------------------------------------------- scoring
def test_scoring_reads_prompts_once_and_completions_each() -> None:
    """Two completions of 3 and 1 tokens after one prompt of 2, by max: 6 tokens pass, 4 have logits."""
    found = scored(MAX, [((1, 2), (5, 6, 7)), ((1, 2), (5,))], SIZE)
    assert (found.scored, found.read, found.sampled) == (4, 2, 0)
    assert found.flops == {"scoring": 6 * 2040 + 4 * 200}


# ------------------------------------------------------------------------------------------------------ training
def test_training_costs_four_passes_over_the_frozen_base() -> None:
    """ada: prompt of 3 once, completions of 2 and 1: 6 tokens of 4·1000 + 6·10, and 3 rows of logits of 4·100."""
    own = [sample("ada", (1, 2, 3), 2), sample("ada", (1, 2, 3), 1, channel="distillation")]
    found = trained([*own, sample("max", (9,), 5)], ["ada"], PLAIN, Objective(), SIZE)
    assert found.trained == {"ada": {"own_samples": 2, "distillation": 1}} and found.trained_by("ada") == 3
    assert found.flops == {"training": 6 * (4 * 1000 + 6 * 10) + 3 * 400}
    assert found.tokens == {"sampled": 0, "trained": 3, "scored": 0, "read": 0}
    again = trained(own, ["ada"], PLAIN, Objective(checkpointing=True), SIZE)
    assert again.flops["training"] == found.flops["training"] + 6 * 2 * 1010
    twice = trained(own, ["ada"], PLAIN, Objective(epochs=2), SIZE)
    assert twice.trained_by("ada") == 6 and twice.flops["training"] == 2 * found.flops["training"]
    # a prompt is read again in every optimizer step
    split = trained(own, ["ada"], PLAIN, Objective(minibatches=2), SIZE)
    assert split.flops["training"] == found.flops["training"] + 3 * 4060


def test_a_kl_term_makes_the_base_read_everything() -> None:
    found = trained([sample("ada", (1, 2), 3)], ["ada"], {"ada": Hyper(1e-3, kl=0.1)}, Objective(), SIZE)
    assert (found.scored, found.read) == (3, 2) and found.flops["scoring"] == 5 * 2000 + 3 * 200


@pytest.mark.parametrize("objective", [Objective(), Objective(epochs=2, minibatches=2), Objective(entropy=0.1)])
def test_trained_tokens_are_those_that_the_update_reports(tiny: BaseModel, objective: Objective) -> None:
    bank = AdapterBank(tiny)
    for agent in ("ada", "max"):
        bank.add(Version(agent, 0), LoraSpec(2, 4, ("q_proj",)), seed=1, trainable=True)
    samples = [
        sample(agent, (5, 6, place), 2 + place, advantage=(1.0, 0.0, -1.0)[place])
        for agent in ("ada", "max")
        for place in range(3)
    ]
    report = update(tiny, bank, samples, PLAIN, objective)
    found = trained(samples, report, PLAIN, objective, model_size(bank))
    assert {agent: done.tokens for agent, done in report.items()} == {a: found.trained_by(a) for a in ("ada", "max")}


def test_a_teacher_that_is_distilled_from_reads_its_samples() -> None:
    """max reads a prompt of 2 and a completion of 3 of ada's: 5 tokens, 3 with logits; the other sample is not its."""
    distilled = sample("ada", (1, 2), 3, channel="distillation", rule="distillation", teacher=MAX)
    found = trained([distilled, sample("ada", (1, 2), 4)], ["ada"], PLAIN, Objective(), SIZE)
    assert (found.scored, found.read) == (3, 2) and found.flops["scoring"] == 5 * 2040 + 3 * 200
    assert found.trained == {"ada": {"distillation": 3, "own_samples": 4}}


def test_problems_of_verified_replies_are_distinct_and_named() -> None:
    learned = [
        sample("ada", (1,), 1, channel="lessons", problem="sums/train/7"),
        sample("ada", (1,), 2, channel="worked_replies", problem="sums/train/7"),
        sample("ada", (2,), 2, channel="worked_replies", problem="sums/train/9"),
        sample("ada", (3,), 2),
    ]
    found = trained(learned, ["ada"], PLAIN, Objective(epochs=2), SIZE)
    assert found.verified == {"sums/train/7", "sums/train/9"} and found.given == frozenset()
    with pytest.raises(LeagueError, match="does not name its problem"):
        trained([sample("ada", (1,), 1, channel="lessons")], ["ada"], PLAIN, Objective(), SIZE)


def test_sums_keep_agents_channels_and_distinct_problems() -> None:
    one = Spent(sampled=1, trained={"ada": {"lessons": 2}}, flops={"playing": 5}, given=frozenset({"a/train/1"}))
    two = Spent(sampled=2, trained={"ada": {"lessons": 1}, "max": {"supervised": 4}}, flops={"training": 7})
    total = one + two + one
    assert total.sampled == 4 and total.given == {"a/train/1"} and total.flops == {"playing": 10, "training": 7}
    assert total.trained == {"ada": {"lessons": 5}, "max": {"supervised": 4}}
    scalars = total.scalars()
    assert scalars["tokens/trained"] == 9 and scalars["tokens/trained/ada/lessons"] == 5
    assert scalars["flops/playing"] == 10 and scalars["verifier_calls"] == 0
    assert Spent().measured_scalars() == {} and one.measured_scalars() == {"measured/tokens": 1, "measured/flops": 5}


# ------------------------------------------------------------------------------------------------------- warm-up
def test_a_warm_up_counts_its_tokens_and_solutions(tiny: BaseModel) -> None:
    """Two agents learn 3 and 5 problems of one domain: 5 distinct ones; two epochs count twice."""
    bank, domain = AdapterBank(tiny), make_domain("chain_sum", seed=1)
    plans = [
        Curriculum("ada", (domain,), WarmupPhase(problems=3, epochs=2)),
        Curriculum("max", (domain,), WarmupPhase(problems=5)),
    ]
    for plan in plans:
        bank.add(Version(plan.agent, 0), LoraSpec(2, 4, ("q_proj",)), seed=1, trainable=True)
    found = warm_up(tiny, bank, plans, Objective(aggregation="token"), 1)
    lengths = {
        plan.agent: sum(len(tiny.tokenizer.encode(target.text)) + 1 for target in targets(plan, 1)) for plan in plans
    }
    assert found.trained == {"ada": {"supervised": 2 * lengths["ada"]}, "max": {"supervised": lengths["max"]}}
    assert len(found.given) == 5 and found.flops["training"] > 4 * model_size(bank).base * found.tokens["trained"]


def test_the_baseline_learns_the_quickstarts_solutions_in_as_many_steps() -> None:
    """3 × 80 distinct solutions; 30 steps are those of the three experts together."""
    plans = {}
    for name in ("quickstart", "baseline_mixed"):
        config = load_config(ROOT / "configs" / f"{name}.yaml")
        domains = {
            key: make_domain(d.kind, d.level, d.settings, seed=config.seed, alias=key)
            for key, d in config.domains.items()
        }
        plans[name] = [
            Curriculum(
                agent,
                (domains[chosen.domain],) if chosen.domain else tuple(domains.values()),
                config.warmup.expert if chosen.can.specialist else config.warmup.student,
            )
            for agent, chosen in config.agents.items()
        ]
    league, baseline = plans["quickstart"], plans["baseline_mixed"]
    assert given_solutions(league) == given_solutions(baseline) and len(given_solutions(baseline)) == 240

    def steps(plan: Curriculum) -> int:
        return -(-len(plan.domains) * plan.phase.problems * plan.phase.epochs // plan.phase.batch)

    experts = [plan for plan in league if len(plan.domains) == 1]
    assert sum(map(steps, experts)) == sum(map(steps, baseline)) == 30
