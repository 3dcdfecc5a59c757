"""Useful examples of a round: replies worth learning, as samples for the learner's own prompt."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from league.errors import LeagueError
from league.types import (
    Episode,
    Match,
    Message,
    Reply,
    Sample,
    SampleRule,
    Sampling,
    Score,
    Turn,
    UsefulExample,
    Version,
)

Encode = Callable[[str, tuple[Message, ...]], tuple[int, ...]]
"""(agent, prompt) → the prompt's tokens, with the agent's own instructions."""
EncodeReply = Callable[[str], tuple[int, ...]]
"""A reply's text → its tokens and the end token."""


@dataclass(frozen=True)
class FoundExample:
    """A useful example with who said it, who learns it, and how it was sampled."""

    example: UsefulExample
    reply: Reply
    sampling: Sampling
    learner: Version
    teacher: Version
    problem: str
    """Key of the problem that was solved; "" where the turn was about none."""


def useful_examples(
    episodes: Iterable[Episode], scores: Iterable[Score | None], trainable: frozenset[str]
) -> Iterator[FoundExample]:
    """Distinct useful examples whose learner trains, in playing order.

    Replies without tokens (scripted and remote players) are kept: their texts can be learned. Raises LeagueError for an
    example from a match that is not for training: exams must stay unseen.
    """
    seen: set[tuple[str, str, tuple[Message, ...], str]] = set()
    for episode, score in zip(episodes, scores, strict=True):
        if score is None or not score.examples:
            continue
        match = episode.match
        if match.purpose != "train" or any(problem.split != "train" for problem in match.problems):
            raise LeagueError(f"match {match.id}: examples to learn from in a match that is not for training")
        spoken = {node.id: (decision, node) for _, decision in episode.decisions() for node in decision.nodes}
        for example in score.examples:
            learner = match.seats[example.learner]
            decision, node = spoken[example.node]
            reply = decision.replies[example.speaker][node.picks[example.speaker]]
            key = (learner.agent, example.channel, example.prompt, reply.text)
            if learner.agent in trainable and (example.node, example.speaker) not in score.void and key not in seen:
                seen.add(key)
                sampling = decision.turn.sampling[example.speaker]
                yield FoundExample(
                    example,
                    reply,
                    sampling,
                    learner=learner,
                    teacher=match.seats[example.teacher],
                    problem=problem_of(match, decision.turn),
                )


def problem_of(match: Match, turn: Turn) -> str:
    """Key of the problem a turn is about; "" where it is about none."""
    return "" if turn.about is None else match.problems[turn.about].key


def text_sample(found: FoundExample, encode: Encode, encode_reply: EncodeReply, weight: float) -> Sample | None:
    """The reply as a supervised sample of the learner's unaided prompt; None without anything to learn.

    `encode_reply` serves replies that carry no tokens of ours. A reply that was cut off at its cap teaches no end.
    """
    tokens = found.reply.tokens or encode_reply(found.reply.text)
    if not tokens or found.reply.finish == "length":
        return None
    return sample_of(found, encode, weight, tokens)


def sample_of(
    found: FoundExample,
    encode: Encode,
    weight: float,
    tokens: tuple[int, ...],
    *,
    rule: SampleRule = "policy_gradient",
    logprobs: tuple[float, ...] = (),
) -> Sample:
    """The reply's tokens as what the learner should say, unaided."""
    return Sample(
        agent=found.learner.agent,
        prompt_tokens=encode(found.learner.agent, found.example.prompt),
        tokens=tokens,
        logprobs=logprobs,
        advantage=weight,
        sampling=found.sampling if logprobs else Sampling(),
        channel=found.example.channel,
        teacher=found.teacher,
        domain=found.example.domain,
        rule=rule,
        problem=found.problem,
    )
