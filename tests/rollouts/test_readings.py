"""Likelihoods that tasks ask for: against the model itself, with what play puts in front, and what goes wrong."""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

import pytest
import torch

from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.score import score
from league.rollouts.play import Player
from league.rollouts.readings import _beginning, read_likelihoods
from league.types import BASE, Episode, Match, Message, Reading, Reply, Sampling, Version

ADA = Version("ada", 1)
PROMPT = (Message("user", "What is 2 + 3?"),)


@pytest.fixture
def bank(tiny: BaseModel) -> AdapterBank:
    made = AdapterBank(tiny)
    made.add(ADA, LoraSpec(2, 4.0, ("q_proj", "v_proj")), seed=1, trainable=True)
    state = {name: torch.randn_like(value) * 0.3 for name, value in made.state(ADA).items()}
    made.drop(ADA)
    made.load(ADA, LoraSpec(2, 4.0, ("q_proj", "v_proj")), state, None, False)
    return made


def episode(name: str = "m", version: Version = ADA) -> Episode:
    return Episode(Match(name, "t", 1, {"student": version}, (), 0), [])


def asking(key: str = "a", **fields: object) -> Reading:
    return replace(Reading(key=key, seat="student", prompt=PROMPT, completion="5 yes"), **fields)  # type: ignore[arg-type]


def direct(base: BaseModel, prompt: Sequence[int], completion: Sequence[int], temperature: float = 1.0) -> list[float]:
    """The base model's own log-probabilities, by one plain forward pass."""
    with torch.no_grad():
        logits_TV = base.model(torch.tensor([[*prompt, *completion]])).logits[0].float() / temperature
    logprobs_TV = logits_TV.log_softmax(-1)
    return [float(logprobs_TV[len(prompt) - 1 + place, token]) for place, token in enumerate(completion)]


def test_a_reading_is_what_the_model_says(tiny: BaseModel, bank: AdapterBank) -> None:
    match = episode(version=BASE)
    spent = read_likelihoods([(match, [asking(), asking("warm", sampling=Sampling(temperature=0.6))])], bank, {})
    completion = [*tiny.tokenizer.encode("5 yes", add_special_tokens=False), tiny.tokenizer.eos_token_id]
    prompt = tiny.encode(PROMPT)
    assert match.likelihoods["a"].logprobs == pytest.approx(direct(tiny, prompt, completion), abs=1e-4)
    assert match.likelihoods["warm"].logprobs == pytest.approx(direct(tiny, prompt, completion, 0.6), abs=1e-4)
    assert match.likelihoods["a"].spans == ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 5))
    assert spent == {BASE: [(prompt, tuple(completion))]}  # one row: temperatures share a pass


def test_it_goes_on_from_the_sampled_tokens_of_a_reply(tiny: BaseModel, bank: AdapterBank) -> None:
    """As many tokens as the text has characters, for this tokenizer has bytes for tokens."""
    said = Reply("ab: 7", "end", (), tuple(tiny.tokenizer.encode("ab: 7", add_special_tokens=False)), ())
    match = episode(version=BASE)
    read_likelihoods([(match, [asking(completion=" 5", reply=said, characters=3)])], bank, {})
    completion = [*tiny.tokenizer.encode(" 5", add_special_tokens=False), tiny.tokenizer.eos_token_id]
    wanted = direct(tiny, [*tiny.encode(PROMPT), *said.tokens[:3]], completion)
    assert match.likelihoods["a"].logprobs == pytest.approx(wanted, abs=1e-4)


def test_a_token_that_reaches_over_the_cut_is_encoded_anew(smollm) -> None:
    """ "the" is one token of this tokenizer; behind its first letter nothing of it may stand."""
    base = BaseModel.load(smollm, dtype="float32", threads=1)
    tokens = tuple(base.tokenizer.encode("So the", add_special_tokens=False))
    assert len(tokens) == 2
    reply = Reply("So the", "end", (), tokens, ())
    assert _beginning(base, reply, 2) == tokens[:1] and _beginning(base, reply, 6) == tokens
    assert base.decode(_beginning(base, reply, 4)) == "So t"
    assert _beginning(base, reply, 0) == ()


def test_the_players_own_instructions_come_first_as_in_play(tiny: BaseModel, bank: AdapterBank) -> None:
    match = episode(version=BASE)
    read_likelihoods([(match, [asking()])], bank, {"base": Player("Be brief.")})
    completion = [*tiny.tokenizer.encode("5 yes", add_special_tokens=False), tiny.tokenizer.eos_token_id]
    wanted = direct(tiny, tiny.encode((Message("system", "Be brief."), *PROMPT)), completion)
    assert match.likelihoods["a"].logprobs == pytest.approx(wanted, abs=1e-4)


def test_every_seat_is_read_with_its_own_adapter(tiny: BaseModel, bank: AdapterBank) -> None:
    one, two = episode("one"), episode("two", BASE)
    read_likelihoods([(one, [asking()]), (two, [asking()])], bank, {})
    row = tiny.encode(PROMPT), (*tiny.tokenizer.encode("5 yes", add_special_tokens=False), tiny.tokenizer.eos_token_id)
    (wanted,) = score(bank, [row], [ADA], [Sampling()])
    assert one.likelihoods["a"].logprobs == pytest.approx(wanted.tolist(), abs=1e-4)
    assert one.likelihoods["a"].logprobs != pytest.approx(two.likelihoods["a"].logprobs, abs=1e-2)


def test_equal_rows_are_computed_once_whatever_their_match(bank: AdapterBank) -> None:
    one, two = episode("one"), episode("two")
    spent = read_likelihoods([(one, [asking("a"), asking("b")]), (two, [asking("a")])], bank, {})
    assert [len(rows) for rows in spent.values()] == [1] and spent.keys() == {ADA}
    assert one.likelihoods["a"] == one.likelihoods["b"] == two.likelihoods["a"]


def test_who_has_no_adapter_has_no_likelihood(bank: AdapterBank) -> None:
    scripted = episode(version=Version("pat", 0))
    assert read_likelihoods([(scripted, [asking()])], bank, {}) == {}
    assert read_likelihoods([(episode(), [asking()])], None, {}) == {}
    assert scripted.likelihoods == {} and scripted.void is None


def test_an_answer_that_is_not_finite_makes_its_match_void_and_no_other(bank: AdapterBank) -> None:
    sick = Version("sick", 0)
    state = {name: torch.full_like(value, 1e30) for name, value in bank.state(ADA).items()}
    bank.load(sick, bank.spec(ADA), state, None, False)
    ill, well = episode("ill", sick), episode("well")
    read_likelihoods([(ill, [asking()]), (well, [asking()])], bank, {})
    assert ill.void is not None and "match ill" in ill.void and "agent 'sick'" in ill.void
    assert well.void is None and all(map(isfinite, well.likelihoods["a"].logprobs))


def test_a_void_match_is_not_read(bank: AdapterBank) -> None:
    gone = replace(episode(), void="nobody answered")
    assert read_likelihoods([(gone, [asking()])], bank, {}) == {}
