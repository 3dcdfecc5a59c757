"""Writing together: a concise and a detailed summary (tldr), or background and method from an
abstract (arxiv).

The joint reward compares the two texts (`tasks/writing/rewards.py`: the paper's; `tasks/writing/hardened.py`: the
default). How the writers work together is the arrangement; the others are the paper's baselines on equal terms:

    parallel     both write at once and see only the source: MAGRPO; untrained, it is the paper's "naive concatenation"
    sequential   the second writer sees the first one's text
    discussion   both write, both see both texts, both write again; the second texts count
    single       one writer writes both parts, parted by a line `[PARAGRAPH_SPLIT]`, within twice the tokens

With `turns` above 1 the writers write again, each with its own history and the feedback of `transition`
(`tasks/multiturn/feedback.py`), and every turn is judged and earns its own reward; a `discussion` has its second turn
built in and rewards that alone. With `expert_edits` the seat "editor" speaks between turns: any agent of the league,
or a remote player; it is never rewarded here. Feedback is given without the base model's opinion of fluency, which
the rewards do include.

With `credit="own"` each writer is rewarded for its own text alone (independent agents). A single writer's reply
without exactly one parting line is no pair of texts and earns 0; the reference cuts it at a third instead, which we
would call guessing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import Literal

from league.registry import INJECTED
from league.types import (
    Episode,
    JointMode,
    Match,
    Message,
    Outcome,
    Problem,
    Relation,
    Sampling,
    Score,
    Split,
    TreePath,
    Turn,
)
from tasks.games.replies import ask, cooperation_outcome, mix_rewards
from tasks.multiturn.feedback import Transition, continued, told
from tasks.multiturn.paths import (
    WRITE,
    Stage,
    by_turn,
    first_plays,
    last_said,
    leaves,
    until_write,
    written,
    wrote_before,
)
from tasks.settings import check_writers
from tasks.task import Fluency, Task
from tasks.writing.demonstrations import demonstrations
from tasks.writing.fluency import Remembered
from tasks.writing.hardened import quality, strict_categories
from tasks.writing.judging import Judged, Pair, checks, judge
from tasks.writing.prompts import EDITOR_TASK, PROMPTS, SPLIT_LINE
from tasks.writing.rewards import KINDS, MAXIMUM, own_reward
from tasks.writing.sources import SOURCES, problems_of

WRITERS = ("writer-1", "writer-2")
EDITOR = "editor"


@dataclass(frozen=True)
class Writing(Task):
    """Settings of a writing match. Match.problems are the texts to write about, one decision tree
    each."""

    kind: Literal["tldr", "arxiv"] = "tldr"
    source: str = "docstrings"
    arrangement: Literal["parallel", "sequential", "discussion", "single"] = "parallel"
    reward: Literal["hardened", "paper"] = "hardened"
    credit: Literal["joint", "own"] = "joint"
    transition: Transition = "plain"
    turns: int = 1
    """T, how often each writer writes."""
    early_stop: bool = False
    """End a playthrough whose texts earn everything."""
    items: int = 1
    """Texts per match."""
    samples: int = 4
    """G, the group of every writer's first text; evaluation writes once, greedily."""
    branch: int = 1
    """Samples of each later text per earlier joint text; more than 1 gives later turns a group of
    their own."""
    joint: JointMode = "aligned"
    temperature: float = 0.7
    top_p: float = 0.9
    max_tokens: int = 96
    """Per text; the paper's is 256."""
    fluency: Fluency | None = field(default=None, compare=False, metadata=INJECTED)
    """The base model's perplexity as a share, injected with `with_fluency`; never from a config."""
    relation: Relation = field(default="cooperation", init=False)

    def check(self) -> list[str]:
        problems = check_writers(
            self, {"kind": tuple(KINDS), "source": tuple(SOURCES), "reward": ("hardened", "paper")}
        )
        if self.turns > 1 and self.arrangement == "discussion":
            problems.append(
                f"turns: a discussion has its second turn built in, found {self.turns} (use arrangement 'parallel')"
            )
        return problems

    def with_fluency(self, fluency: Fluency) -> "Writing":
        """The same task, its hardened reward judging fluency by `fluency` too."""
        return replace(self, fluency=fluency)

    def writers(self) -> tuple[str, ...]:
        return WRITERS[:1] if self.arrangement == "single" else WRITERS

    def seats(self) -> tuple[str, ...]:
        return (*self.writers(), EDITOR) if self.transition == "expert_edits" else self.writers()

    def problems(self, split: Split, index: int, domain: str = "") -> tuple[Problem, ...]:
        """The texts of match number `index`; numbers beyond the last start again at the first."""
        texts = problems_of(self.source)[split]
        return tuple(texts[(index * self.items + offset) % len(texts)] for offset in range(self.items))

    def demonstrations(self, count: int, seed: int, seats: Sequence[str]) -> list[tuple[tuple[Message, ...], str]]:
        """`count` worked texts from the train split for the writers among `seats`, in turn; none
        where nobody wrote summaries by hand."""
        if self.kind != "tldr":
            return []
        places = [place for place, seat in enumerate(WRITERS) if seat in seats]
        return demonstrations(problems_of(self.source)["train"], count, seed, self.arrangement, places)

    # --------------------------------------------------------------------------------------------- playing
    @cached_property
    def _plan(self) -> tuple[Stage, ...]:
        one: tuple[Stage, ...] = ((WRITE, self.writers()),)
        if self.arrangement == "discussion":
            return (("draft", WRITERS), *one)
        if self.arrangement == "sequential":
            one = (("draft", WRITERS[:1]), (WRITE, WRITERS[1:]))
        between: tuple[Stage, ...] = (("edit", (EDITOR,)),) if self.transition == "expert_edits" else ()
        return (*one, *(stage for _ in range(self.turns - 1) for stage in (*between, *one)))

    def open(self, match: Match) -> Sequence[Turn]:
        return [self._turn(match, about, (), None) for about in range(len(match.problems))]

    def follow(self, match: Match, path: TreePath) -> Sequence[Turn]:
        if len(path) >= len(self._plan):
            return []
        about = path[-1][0].turn.about or 0
        judged = None
        if path[-1][0].turn.tag == WRITE:
            judged = self._judge(match.problems[about].question, path)
            if self.early_stop and all(check.passed for check in checks(KINDS[self.kind], judged)):
                return []
        return [self._turn(match, about, path, judged)]

    def _turn(self, match: Match, about: int, path: TreePath, judged: Judged | None) -> Turn:
        tag, seats = self._plan[len(path)]
        text = match.problems[about].question
        if judged is None and wrote_before(path):  # an editor or the first writer has spoken since
            judged = self._judge(text, until_write(path))
        prompts = {seat: self._prompt(text, path, seat, judged) for seat in seats}
        tokens = 2 * self.max_tokens if self.arrangement == "single" and tag == WRITE else self.max_tokens
        evaluate = match.purpose == "evaluate"
        sampling = Sampling(temperature=0.0 if evaluate else self.temperature, top_p=self.top_p, max_tokens=tokens)
        samples = 1 if evaluate or tag == "edit" else self.branch if path else self.samples
        return Turn(tag, prompts, samples, dict.fromkeys(prompts, sampling), about, self.joint)

    def _prompt(self, text: str, path: TreePath, seat: str, judged: Judged | None) -> tuple[Message, ...]:
        """What one seat sees: the text the first time, then its own history with the feedback on
        the last turn."""
        prompts, said = PROMPTS[self.kind], last_said(path, seat)
        if seat == EDITOR:
            newest = [found[1].strip() for writer in self.writers() if (found := last_said(path, writer))]
            return ask(EDITOR_TASK.format(text=text, written="\n\n".join(newest)))
        if said is None:
            return ask(self._first(text, path, seat))
        if self.arrangement == "discussion":
            pair = self._pair(path) or ("", "")
            return ask((prompts.first_again if seat == WRITERS[0] else prompts.second_again)(text, *pair))
        edits, first = last_said(path, EDITOR), last_said(path, WRITERS[0])
        feedback = told(self.transition, checks(KINDS[self.kind], judged) if judged else (), edits[1] if edits else "")
        if self.arrangement == "sequential" and seat == WRITERS[1] and first:
            feedback = f"{feedback}\n\nYour partner wrote:\n{first[1].strip()}".strip()
        return continued(said[0], said[1], feedback, "Write it again, better. Write only the text.")

    def _first(self, text: str, path: TreePath, seat: str) -> str:
        prompts, partner = PROMPTS[self.kind], last_said(path, WRITERS[0])
        if self.arrangement == "single":
            return prompts.both(text)
        if seat == WRITERS[0]:
            return prompts.first(text)
        return prompts.after(text, partner[1]) if partner else prompts.second(text)

    # --------------------------------------------------------------------------------------------- scoring
    def score(self, episode: Episode) -> Score:
        ends = {
            path[-1][1].id: (episode.match.problems[path[-1][0].turn.about or 0].question, path)
            for path in written(episode)
        }
        pairs = {node: self._pair(path) for node, (_, path) in ends.items()}
        fluency = None
        if self.fluency is not None:
            fluency = Remembered(self.fluency, [text for pair in pairs.values() if pair for text in pair])
        judged = {
            node: judge(KINDS[self.kind], self.reward, source, pairs[node], fluency)
            for node, (source, _) in ends.items()
        }
        rewards: dict[int, dict[str, float]] = {}
        for _, decision in episode.decisions():
            for node in decision.nodes:
                rewards[node.id] = dict.fromkeys(self.writers(), 0.0)
                if node.id in judged:
                    earned = self._earned(ends[node.id][0], pairs[node.id], judged[node.id], fluency)
                    rewards[node.id] = mix_rewards(earned, episode.match.rewards)
        return Score(rewards, self._metrics(episode, judged), tuple(self._outcomes(episode, judged)))

    def _judge(self, source: str, path: TreePath) -> Judged:
        """The pair at the end of `path` as feedback sees it: without the base model."""
        return judge(KINDS[self.kind], self.reward, source, self._pair(path), None)

    def _pair(self, path: TreePath) -> Pair | None:
        """The newest two texts of `path`, or None when a single writer did not part them."""
        found = [last[1].strip() if (last := last_said(path, seat)) else "" for seat in self.writers()]
        if self.arrangement != "single":
            return found[0], found[1]
        parts = found[0].split(SPLIT_LINE)
        return (parts[0].strip(), parts[1].strip()) if len(parts) == 2 else None

    def _earned(self, source: str, pair: Pair | None, judged: Judged, fluency: Fluency | None) -> dict[str, float]:
        if self.credit == "joint" or pair is None:
            return dict.fromkeys(self.writers(), judged.reward)
        kind = KINDS[self.kind]
        if self.reward == "paper":
            return {seat: own_reward(kind, writer, pair[writer], source) for writer, seat in enumerate(WRITERS)}
        earned = {}
        for writer, seat in enumerate(WRITERS):
            text = pair[writer]
            own = own_reward(kind, writer, text, source, len(strict_categories(text)))
            earned[seat] = own * quality(kind, source, (text,), fluency).worst
        return earned

    def _outcomes(self, episode: Episode, judged: Mapping[int, Judged]) -> Iterator[Outcome]:
        """One cooperation per domain: the joint reward of independent pairs, self-play included; a
        single writer has no partner."""
        if self.arrangement == "single":
            return
        by_domain: dict[str, list[float]] = {}
        for root in episode.roots:
            domain = episode.match.problems[root.turn.about or 0].domain
            by_domain.setdefault(domain, []).extend(judged[node.id].reward for node in first_plays(root))
        for domain, joint in by_domain.items():
            yield cooperation_outcome(episode.match, self.name, domain, WRITERS, joint)

    def _metrics(self, episode: Episode, every: Mapping[int, Judged]) -> dict[str, float]:
        """Means over all final pairs, each normalised to [0, 1]; `return/turn-t` over the pairs of
        turn t, where there are several. `paper_return` well above `hardened_return` means junk.

        `base_judged` is 1 where the base model's perplexity was part of the hardened reward; without it search can
        fool that reward.
        """
        judged = [every[node.id] for node in leaves(episode)]
        turns = by_turn(episode) if self.turns > 1 else {}
        return {
            f"return/turn-{turn}": fmean(every[node].reward for node in nodes) / MAXIMUM
            for turn, nodes in sorted(turns.items())
        } | {
            "return": fmean(j.reward for j in judged) / MAXIMUM,
            "paper_return": fmean(j.paper.total for j in judged) / MAXIMUM,
            "hardened_return": fmean(j.hardened for j in judged) / MAXIMUM,
            "quality": fmean(j.worst for j in judged),
            "structure": fmean(j.paper.structure + j.paper.length + j.paper.vocabulary for j in judged) / 2.0,
            "coherence": fmean(j.paper.transitions for j in judged) / 0.4,
            "consistency": fmean(j.paper.overlap for j in judged) / 0.6,
            "base_judged": float(self.fluency is not None),
            "unsplit": fmean(float(j.paper.stopped == "split") for j in judged),
        }
