"""Two agents write about one text together.

A concise and a detailed summary (tldr), or background and method from an abstract (arxiv).

The joint reward compares the two texts (`tasks/writing/rewards.py`: the paper's; `tasks/writing/hardened.py`: the
default). The arrangements, turns and feedback are in `tasks/multiturn/task.py`, with two rules of its own: a
`discussion` has its second turn built in (both write, both see both texts, both write again) and rewards that alone;
a single writer parts its texts by a line `[PARAGRAPH_SPLIT]`.

Feedback is given without the base model's opinion of fluency, which the rewards do include. A single writer's reply
without exactly one parting line is no pair of texts and earns 0; the reference cuts it at a third instead, which we
would call guessing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import ClassVar, Literal

from league.errors import nearest
from league.registry import INJECTED
from league.types import Episode, Message, Problem, Split, TreePath
from tasks.multiturn.paths import WRITE, Stage, leaves, newest
from tasks.multiturn.task import EDITOR, Judgement, MultiTurnTask
from tasks.task import Demonstration, Fluency, user_prompt
from tasks.writing.demonstrations import demonstrations
from tasks.writing.fluency import CachedFluency
from tasks.writing.hardened import quality, strict_categories
from tasks.writing.judging import Pair, PairScores, checks, judge_pair
from tasks.writing.prompts import EDITOR_TASK, PROMPTS, SPLIT_LINE
from tasks.writing.rewards import MAXIMUM, WRITING_KINDS, own_reward
from tasks.writing.sources import SOURCES, problems_of

WRITERS = ("writer-1", "writer-2")


@dataclass(frozen=True)
class Writing(MultiTurnTask[PairScores]):
    """Settings of a writing match. Match.problems are the texts to write about, one decision tree each."""

    pair: ClassVar[tuple[str, str]] = WRITERS
    solo: ClassVar[str] = WRITERS[0]

    kind: Literal["tldr", "arxiv"] = "tldr"
    source: str = "docstrings"
    reward: Literal["hardened", "paper"] = "hardened"
    fluency: Fluency | None = field(default=None, compare=False, metadata=INJECTED)
    """The base model's perplexity as a share, injected with `with_fluency`; never from a config."""

    def check(self) -> list[str]:
        problems = super().check()
        if self.source not in SOURCES:
            problems.append(f"source: '{self.source}' is unknown{nearest(self.source, list(SOURCES))}")
        if self.turns > 1 and self.arrangement == "discussion":
            problems.append(
                f"turns: a discussion has its second turn built in, found {self.turns} (use arrangement 'parallel')"
            )
        return problems

    def with_fluency(self, fluency: Fluency) -> "Writing":
        """The same task, its hardened reward judging fluency by `fluency` too."""
        return replace(self, fluency=fluency)

    def source_problems(self) -> Mapping[Split, Sequence[Problem]]:
        return problems_of(self.source)

    def demonstrations(self, count: int, seed: int, seats: Sequence[str]) -> list[Demonstration]:
        """`count` worked texts from the train split for the writers among `seats`, in turn.

        None where nobody wrote summaries by hand.
        """
        if self.kind != "tldr":
            return []
        places = [place for place, seat in enumerate(WRITERS) if seat in seats]
        return demonstrations(problems_of(self.source)["train"], count, seed, self.arrangement, places)

    # ------------------------------------------------------------------------------------------------ playing
    def stages_of_turn(self) -> tuple[Stage, ...]:
        if self.arrangement == "discussion":
            return (self.first_stage, WRITERS), (WRITE, WRITERS)
        return super().stages_of_turn()

    def opens_group(self, path: TreePath) -> bool:
        """Only the first stage: a second writer or a discussion's second texts draw `branch` replies."""
        return not path

    def prompt(
        self, problem: Problem, path: TreePath, seat: str, judgement: Judgement[PairScores] | None
    ) -> tuple[Message, ...]:
        """A discussion's second prompt shows both texts afresh.

        All others are as in every task of several turns.
        """
        if self.arrangement == "discussion" and seat != EDITOR and newest(path, seat) is not None:
            prompts, pair = PROMPTS[self.kind], self._texts(path) or ("", "")
            again = prompts.first_again if seat == WRITERS[0] else prompts.second_again
            return user_prompt(again(problem.question, *pair))
        return super().prompt(problem, path, seat, judgement)

    def first_prompt(self, problem: Problem, path: TreePath, seat: str) -> str:
        prompts, text, partner = PROMPTS[self.kind], problem.question, newest(path, WRITERS[0])
        if self.arrangement == "single":
            return prompts.both(text)
        if seat == WRITERS[0]:
            return prompts.first(text)
        return prompts.after(text, partner.reply) if partner else prompts.second(text)

    def editor_prompt(self, problem: Problem, path: TreePath) -> str:
        texts = [spoken.reply.strip() for writer in self.writers() if (spoken := newest(path, writer))]
        return EDITOR_TASK.format(text=problem.question, written="\n\n".join(texts))

    def request(self, seat: str) -> str:
        return "Write it again, better. Write only the text."

    # ------------------------------------------------------------------------------------------------ scoring
    def _texts(self, path: TreePath) -> Pair | None:
        """The newest two texts of `path`, or None when a single writer did not part them."""
        found = [spoken.reply.strip() if (spoken := newest(path, seat)) else "" for seat in self.writers()]
        if self.arrangement != "single":
            return found[0], found[1]
        parts = found[0].split(SPLIT_LINE)
        return (parts[0].strip(), parts[1].strip()) if len(parts) == 2 else None

    def judge(self, ends: Sequence[tuple[Problem, TreePath]], for_feedback: bool) -> list[Judgement[PairScores]]:
        kind = WRITING_KINDS[self.kind]
        pairs = [self._texts(path) for _, path in ends]
        fluency = None
        if self.fluency is not None and not for_feedback:
            fluency = CachedFluency(self.fluency, [text for pair in pairs if pair for text in pair])
        found = []
        for (problem, _), pair in zip(ends, pairs, strict=True):
            scores = judge_pair(kind, self.reward, problem.question, pair, fluency)
            heard = tuple(checks(kind, scores))
            earned = {} if for_feedback else self._earned(problem.question, pair, scores, fluency)
            perfect = all(check.passed for check in heard)
            found.append(Judgement(scores, joint=scores.reward, earned=earned, checks=heard, perfect=perfect))
        return found

    def _earned(self, source: str, pair: Pair | None, scores: PairScores, fluency: Fluency | None) -> dict[str, float]:
        """What each writer earns: the joint reward, or by its own text alone."""
        if self.credit == "joint" or pair is None:
            return dict.fromkeys(self.writers(), scores.reward)
        kind = WRITING_KINDS[self.kind]
        if self.reward == "paper":
            return {seat: own_reward(kind, writer, pair[writer], source) for writer, seat in enumerate(WRITERS)}
        earned = {}
        for writer, seat in enumerate(WRITERS):
            text = pair[writer]
            own = own_reward(kind, writer, text, source, len(strict_categories(text)))
            earned[seat] = own * quality(kind, source, (text,), fluency).worst
        return earned

    def metrics(self, episode: Episode, judged: Mapping[int, Judgement[PairScores]]) -> dict[str, float]:
        """Means over all final pairs, each normalised to [0, 1], after `return/turn-t` of each turn.

        `paper_return` well above `hardened_return` means junk. `base_judged` is 1 where the base model's perplexity
        was part of the hardened reward; without it search can fool that reward.
        """
        last = [judged[node.id].scores for node in leaves(episode)]
        rewards = {node: judgement.joint for node, judgement in judged.items()}
        return self.returns_by_turn(episode, rewards, MAXIMUM) | {
            "return": fmean(pair.reward for pair in last) / MAXIMUM,
            "paper_return": fmean(pair.paper.total for pair in last) / MAXIMUM,
            "hardened_return": fmean(pair.hardened for pair in last) / MAXIMUM,
            "quality": fmean(pair.worst for pair in last),
            "structure": fmean(pair.paper.structure + pair.paper.length + pair.paper.vocabulary for pair in last) / 2.0,
            "coherence": fmean(pair.paper.transitions for pair in last) / 0.4,
            "consistency": fmean(pair.paper.overlap for pair in last) / 0.6,
            "base_judged": float(self.fluency is not None),
            "unsplit": fmean(float(pair.paper.stopped == "split") for pair in last),
        }
