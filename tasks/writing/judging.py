"""What a pair of texts is worth, and what its writers may hear of it between turns."""

from dataclasses import dataclass, fields

from tasks.multiturn.feedback import Check
from tasks.task import Fluency
from tasks.writing.hardened import Quality, hardened_reward
from tasks.writing.rewards import TextLevels, WritingKind, paper_reward

Pair = tuple[str, str]
GOOD = 0.5
"""A quality term below this is worth a word."""
_ADVICE = {
    "order": "Write whole sentences.",
    "form": "Begin sentences with a capital letter and end the last one.",
    "grounded": "Keep to the source.",
    "coverage": "Say more of what the source says.",
    "variety": "Do not repeat yourself.",
    "own_words": "Use your own words.",
    "sparing": "Use fewer linking words.",
}


@dataclass(frozen=True)
class PairScores:
    """What the reward form in force gave to a pair of texts.

    With the levels of that form and of the paper, and the hardened reward beside them.
    """

    reward: float
    levels: TextLevels
    paper: TextLevels
    hardened: float
    quality: Quality | None
    """None when a single writer did not part its reply."""

    @property
    def worst(self) -> float:
        return self.quality.worst if self.quality is not None else 0.0


def judge_pair(kind: WritingKind, form: str, source: str, pair: Pair | None, fluency: Fluency | None) -> PairScores:
    """Judge a pair under the reward form "paper" or "hardened"; both are computed."""
    if pair is None:
        stopped = TextLevels(stopped="split")
        return PairScores(0.0, stopped, stopped, 0.0, None)
    paper = paper_reward(kind, *pair)
    hardened, levels, terms = hardened_reward(kind, source, *pair, fluency)
    if form == "paper":
        return PairScores(paper.total, paper, paper, hardened, terms)
    return PairScores(hardened, levels, paper, hardened, terms)


def checks(kind: WritingKind, scores: PairScores) -> list[Check]:
    """The levels and the quality in words; a level behind a closed gate has not passed."""
    levels, (low, high) = scores.levels, kind.words
    longer = f"{kind.length.low:g} to {kind.length.high:g} times"
    wrong = [
        _ADVICE[term.name]
        for term in fields(Quality)
        if scores.quality is not None and getattr(scores.quality, term.name) < GOOD
    ]
    return [
        Check("structure", levels.structure > 0, f"Write two texts of {low} to {high} words each."),
        Check("length", levels.length == 1.0, f"The second text should be {longer} as long as the first."),
        Check("vocabulary", levels.vocabulary == 0.5, "The second text should use more different words."),
        Check("transitions", levels.transitions > 0, "Link the sentences."),
        Check("overlap", levels.overlap > 0, "The two texts should be about the same things."),
        Check("quality", scores.quality is not None and not wrong, " ".join(wrong)),
    ]
