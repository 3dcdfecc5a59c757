"""Writing together: a concise and a detailed summary (tldr), or background and method from an abstract (arxiv).

The joint reward compares the two texts (`tasks/writing_rewards.py`: the paper's; `tasks/writing_hardened.py`: the default). How the writers
work together is the arrangement; the others are the paper's baselines on equal terms:

    parallel     both write at once and see only the source: MAGRPO; untrained, it is the paper's "naive concatenation"
    sequential   the second writer sees the first one's text
    discussion   both write, both see both texts, both write again; the second texts count
    single       one writer writes both parts, parted by a line `[PARAGRAPH_SPLIT]`, within twice the tokens

With `credit="own"` each writer is rewarded for its own text alone (independent agents). A single writer's reply without exactly one
parting line is no pair of texts and earns 0; the reference cuts it at a third instead, which we would call guessing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Literal

from league.errors import nearest
from league.types import Decision, Episode, JointMode, Match, Node, Outcome, Problem, Relation, Sampling, Score, Split, Turn
from tasks.games.replies import ask, mix_rewards
from tasks.writing_fluency import Fluency
from tasks.writing_hardened import hardened_reward, quality, strict_categories
from tasks.writing_prompts import PROMPTS, SPLIT_LINE
from tasks.writing_rewards import KINDS, MAXIMUM, Levels, own_reward, paper_reward
from tasks.writing_sources import SOURCES, problems_of

WRITERS = ("writer-1", "writer-2")
Path = tuple[tuple[Decision, Node], ...]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Judged:
    """One pair of texts as judged: what the reward form in force gave, the paper's levels, the hardened reward beside them."""

    reward: float
    paper: Levels
    hardened: float
    quality: float


@dataclass(frozen=True)
class Writing:
    """Settings of a writing match. Match.problems are the texts to write about, one decision tree each."""

    name: str
    kind: Literal["tldr", "arxiv"] = "tldr"
    source: str = "docstrings"
    arrangement: Literal["parallel", "sequential", "discussion", "single"] = "parallel"
    reward: Literal["hardened", "paper"] = "hardened"
    credit: Literal["joint", "own"] = "joint"
    items: int = 1
    """Texts per match."""
    samples: int = 4
    """G, the group of every writer's first text."""
    branch: int = 1
    """Samples of each later text per earlier joint text; more than 1 gives later turns a group of their own."""
    joint: JointMode = "aligned"
    temperature: float = 0.7
    top_p: float = 0.9
    max_tokens: int = 96
    """Per text; the paper's is 256."""
    fluency: Fluency | None = field(default=None, compare=False)
    """The base model's perplexity as a share, injected with `with_fluency`; never from a config."""
    relation: Relation = field(default="cooperation", init=False)

    def check(self) -> list[str]:
        choices = {
            "kind": tuple(KINDS),
            "source": tuple(SOURCES),
            "arrangement": ("parallel", "sequential", "discussion", "single"),
            "reward": ("hardened", "paper"),
            "credit": ("joint", "own"),
            "joint": ("aligned", "cross"),
        }
        problems = [
            f"{key}: '{getattr(self, key)}' is unknown{nearest(getattr(self, key), valid)}"
            for key, valid in choices.items()
            if getattr(self, key) not in valid
        ]
        least = {"items": 1, "samples": 1, "branch": 1, "max_tokens": 8}
        problems += [f"{key}: must be at least {low}, found {getattr(self, key)}" for key, low in least.items() if getattr(self, key) < low]
        if not self.temperature > 0:
            problems.append(f"temperature: must be above 0 so that samples differ, found {self.temperature}")
        if not 0 < self.top_p <= 1:
            problems.append(f"top_p: must be in (0, 1], found {self.top_p}")
        if self.arrangement == "single" and self.credit == "own":
            problems.append("credit: 'own' needs two writers (use 'joint' with arrangement 'single')")
        return problems

    def with_fluency(self, fluency: Fluency) -> "Writing":
        """The same task, its hardened reward judging fluency by `fluency` too."""
        return replace(self, fluency=fluency)

    def seats(self) -> tuple[str, ...]:
        return WRITERS[:1] if self.arrangement == "single" else WRITERS

    def problems(self, split: Split, index: int, domain: str = "") -> tuple[Problem, ...]:
        """The texts of match number `index`; numbers beyond the last start again at the first."""
        texts = problems_of(self.source)[split]
        return tuple(texts[(index * self.items + offset) % len(texts)] for offset in range(self.items))

    # --------------------------------------------------------------------------------------------- playing
    def open(self, match: Match) -> Sequence[Turn]:
        return [self._first_turn(match.problems[about].question, about) for about in range(len(match.problems))]

    def _first_turn(self, text: str, about: int) -> Turn:
        prompts = PROMPTS[self.kind]
        if self.arrangement == "single":
            return self._turn("write", {WRITERS[0]: prompts.both(text)}, self.samples, about, 2 * self.max_tokens)
        if self.arrangement == "sequential":
            return self._turn("write", {WRITERS[0]: prompts.first(text)}, self.samples, about)
        return self._turn("write", {WRITERS[0]: prompts.first(text), WRITERS[1]: prompts.second(text)}, self.samples, about)

    def follow(self, match: Match, path: Path) -> Sequence[Turn]:
        decision, node = path[-1]
        if len(path) > 1 or decision.turn.about is None or self.arrangement in ("parallel", "single"):
            return []
        text, written, prompts = match.problems[decision.turn.about].question, decision.texts(node), PROMPTS[self.kind]
        if self.arrangement == "sequential":
            asked = {WRITERS[1]: prompts.after(text, written[WRITERS[0]])}
        else:
            pair = (written[WRITERS[0]], written[WRITERS[1]])
            asked = {WRITERS[0]: prompts.first_again(text, *pair), WRITERS[1]: prompts.second_again(text, *pair)}
        return [self._turn("revise", asked, self.branch, decision.turn.about)]

    def _turn(self, tag: str, prompts: Mapping[str, str], samples: int, about: int, tokens: int | None = None) -> Turn:
        sampling = Sampling(temperature=self.temperature, top_p=self.top_p, max_tokens=tokens or self.max_tokens)
        return Turn(tag, {seat: ask(text) for seat, text in prompts.items()}, samples, dict.fromkeys(prompts, sampling), about, self.joint)

    # --------------------------------------------------------------------------------------------- scoring
    def score(self, episode: Episode) -> Score:
        rewards: dict[int, dict[str, float]] = {}
        judged: dict[int, Judged] = {}
        for path, decision in episode.decisions():
            for node in decision.nodes:
                if node.next:
                    rewards[node.id] = dict.fromkeys(self.seats(), 0.0)
                    continue
                source = episode.match.problems[decision.turn.about or 0].question
                pair = self._pair((*path, (decision, node)))
                judged[node.id] = self._judge(source, pair)
                rewards[node.id] = mix_rewards(self._earned(source, pair, judged[node.id]), episode.match.rewards)
        return Score(rewards, self._metrics(list(judged.values())), tuple(self._outcomes(episode, judged)))

    def _pair(self, path: Path) -> Pair | None:
        """The two texts at the end of `path`, or None when a single writer did not part them."""
        written: dict[str, str] = {}
        for decision, node in path:
            written |= decision.texts(node)
        if self.arrangement != "single":
            return written[WRITERS[0]].strip(), written[WRITERS[1]].strip()
        parts = written[WRITERS[0]].split(SPLIT_LINE)
        return (parts[0].strip(), parts[1].strip()) if len(parts) == 2 else None

    def _judge(self, source: str, pair: Pair | None) -> Judged:
        if pair is None:
            return Judged(0.0, Levels(stopped="split"), 0.0, 0.0)
        kind = KINDS[self.kind]
        paper = paper_reward(kind, *pair)
        hardened, _, terms = hardened_reward(kind, source, *pair, self.fluency)
        return Judged(paper.total if self.reward == "paper" else hardened, paper, hardened, terms.worst)

    def _earned(self, source: str, pair: Pair | None, judged: Judged) -> dict[str, float]:
        if self.credit == "joint" or pair is None:
            return dict.fromkeys(self.seats(), judged.reward)
        kind = KINDS[self.kind]
        if self.reward == "paper":
            return {seat: own_reward(kind, writer, pair[writer], source) for writer, seat in enumerate(WRITERS)}
        earned = {}
        for writer, seat in enumerate(WRITERS):
            text = pair[writer]
            own = own_reward(kind, writer, text, source, len(strict_categories(text)))
            earned[seat] = own * quality(kind, source, (text,), self.fluency).worst
        return earned

    def _plays(self, root: Decision) -> Iterator[Node]:
        """The end of one independent playthrough per aligned joint text: always the first continuation."""
        for node in root.nodes:
            if len(set(node.picks.values())) == 1:
                while node.next:
                    node = node.next[0].nodes[0]
                yield node

    def _outcomes(self, episode: Episode, judged: Mapping[int, Judged]) -> Iterator[Outcome]:
        """One cooperation per domain: the joint reward of independent pairs, self-play included; a single writer has no partner."""
        if self.arrangement == "single":
            return
        row, col = sorted(episode.match.seats[seat] for seat in WRITERS)
        by_domain: dict[str, list[float]] = {}
        for root in episode.roots:
            domain = episode.match.problems[root.turn.about or 0].domain
            by_domain.setdefault(domain, []).extend(judged[node.id].reward for node in self._plays(root))
        for domain, joint in by_domain.items():
            total, total_sq = sum(joint), sum(value * value for value in joint)
            yield Outcome("cooperation", self.name, episode.match.situation, domain, row, col, n=len(joint), total=total, total_sq=total_sq)

    def _metrics(self, judged: list[Judged]) -> dict[str, float]:
        """Means over all final pairs, each normalised to [0, 1]. `paper_return` well above `hardened_return` means junk.

        `base_judged` is 1 where the base model's perplexity was part of the hardened reward; without it search can fool that reward.
        """
        return {
            "return": fmean(j.reward for j in judged) / MAXIMUM,
            "paper_return": fmean(j.paper.total for j in judged) / MAXIMUM,
            "hardened_return": fmean(j.hardened for j in judged) / MAXIMUM,
            "quality": fmean(j.quality for j in judged),
            "structure": fmean(j.paper.structure + j.paper.length + j.paper.vocabulary for j in judged) / 2.0,
            "coherence": fmean(j.paper.transitions for j in judged) / 0.4,
            "consistency": fmean(j.paper.overlap for j in judged) / 0.6,
            "base_judged": float(self.fluency is not None),
            "unsplit": fmean(float(j.paper.stopped == "split") for j in judged),
        }
