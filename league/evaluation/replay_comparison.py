"""What is said when a match is played again, against what was kept of it: where the two differ first.

The transcript has every prompt and text; the record for replays, where there is one, the tokens with their
log-probabilities, exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from league.errors import DataError
from league.reporting.text.transcripts import clean
from league.rollouts import transcript
from league.rollouts.replay_records import SaidTokens, replies_of
from league.types import Episode, Reply, Score


@dataclass(frozen=True)
class Replay:
    """What came of playing a match again."""

    match: str
    round: int
    replies: int = 0
    tokens: int = 0
    together: int = 1
    """Matches that were played in one batch with it, itself included."""
    whole_batch: bool = False
    """Whether they are all that were played together then; else bits may differ."""
    notes: tuple[str, ...] = ()
    logprobs: int = 0
    """Log-probabilities that were kept and compared."""
    largest_gap: float = 0.0
    """Largest difference between two of them, in nats."""
    differs: str | None = None
    """Where it differs first, and how; None where it agrees."""

    @property
    def agrees(self) -> bool:
        return self.differs is None


def compared(
    episode: Episode, shown: Mapping[str, Any], said: tuple[SaidTokens, ...] | None, tolerance: float
) -> Replay:
    """What is said now against what the transcript and the kept tokens say."""
    found = Replay(episode.match.id, episode.match.round)
    if episode.void is not None:
        return replace(found, differs=f"the match is void now: {episode.void}")
    now = transcript(episode, Score({}, {}), {})["turns"]
    assert isinstance(now, list)
    heard = list(replies_of(episode))
    found = replace(found, replies=len(heard), tokens=sum(len(reply.tokens) for reply in heard))
    try:
        if (differs := _first_text(shown["turns"], now)) is not None:
            return replace(found, differs=differs)
        places = [(turn, number) for turn in now for number in range(len(turn["replies"]))]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"the transcript of match '{found.match}' is not of the stored shape: {error!r}") from error
    if said is None:
        return found
    if len(said) != len(heard):
        return replace(found, differs=f"{len(said)} replies were kept, there are {len(heard)} now")
    gap = 0.0
    for (turn, number), then, reply in zip(places, said, heard, strict=True):
        differs, furthest = _tokens(then, reply, tolerance)
        gap = max(gap, furthest)
        if differs is not None:
            return replace(found, differs=f"{_place(turn)}, reply {number}: {differs}", largest_gap=gap)
    return replace(found, logprobs=sum(len(each.logprobs) for each in said), largest_gap=gap)


def _first_text(then: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> str | None:
    """Where turns, prompts or texts differ first."""
    for one, other in zip(then, now, strict=False):
        for key in ("path", "tag", "seat", "about"):
            if one[key] != other[key]:
                return f"the turn was {_place(one)}, is {_place(other)}"
        if one["prompt"] != other["prompt"]:
            texts = ["\n".join(message["content"] for message in turn["prompt"]) for turn in (one, other)]
            return f"{_place(one)}: the prompt {_apart(*texts)}"
        for number, (before, after) in enumerate(zip(one["replies"], other["replies"], strict=False)):
            if before["text"] != after["text"]:
                return f"{_place(one)}, reply {number}: {_apart(before['text'], after['text'])}"
            if before["finish"] != after["finish"]:
                return f"{_place(one)}, reply {number}: it ended by {before['finish']!r}, now by {after['finish']!r}"
        if len(one["replies"]) != len(other["replies"]):
            return f"{_place(one)}: {len(one['replies'])} replies then, {len(other['replies'])} now"
    return None if len(then) == len(now) else f"{len(then)} turns then, {len(now)} now"


def _tokens(then: SaidTokens, now: Reply, tolerance: float) -> tuple[str | None, float]:
    """(where the tokens or their log-probabilities differ first, the largest difference of the latter)."""
    for place, (before, after) in enumerate(zip(then.tokens, now.tokens, strict=False)):
        if before != after:
            return f"token {place} was {before}, is {after}", 0.0
    if len(then.tokens) != len(now.tokens):
        return f"{len(then.tokens)} tokens then, {len(now.tokens)} now", 0.0
    gaps = [abs(before - after) for before, after in zip(then.logprobs, now.logprobs, strict=True)]
    for place, gap in enumerate(gaps):
        if not gap <= tolerance:
            values = f"{then.logprobs[place]:.9g}, is {now.logprobs[place]:.9g}"
            return f"the log-probability of token {place} was {values}", gap
    return None, max(gaps, default=0.0)


def _place(turn: Mapping[str, Any]) -> str:
    after = f" after {turn['path']}" if turn["path"] else ""
    about = f" about problem {turn['about']}" if turn["about"] is not None else ""
    return clean(f"{turn['seat']}, {turn['tag']}{about}{after}")


def _apart(then: str, now: str) -> str:
    """Two texts from shortly before where they part."""
    same = next((i for i, (a, b) in enumerate(zip(then, now, strict=False)) if a != b), min(len(then), len(now)))
    start = max(0, same - 20)
    return f"was {then[start : same + 40]!r} from character {start} on, is {now[start : same + 40]!r}"
