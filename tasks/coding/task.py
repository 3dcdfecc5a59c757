"""Coding together: one agent writes a helper function `aux`, the other the main function. The
reward is in `tasks/coding/levels.py`.

    parallel     both write at once and see only the problem: MAGRPO; untrained, it is the paper's "naive concatenation"
    sequential   the main writer sees the helper's reply
    discussion   after the first turn each also sees the other's reply
    single       one coder writes both functions, within twice the tokens

With `turns` above 1 the agents write again, each with its own history and the feedback of `transition`
(`tasks/multiturn/feedback.py`); every turn is graded and earns its own reward. With `expert_edits` the seat "editor"
speaks between turns: any agent of the league, or a remote player; it is never rewarded here. With `credit="own"` each
writer is rewarded for its own reply alone (independent agents). Foreign code runs only in the grader
(league/sandbox). An infrastructure failure and an answer that looks like an attack on the grader carry no gradient.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import Literal

from league.registry import INJECTED
from league.sandbox.values import CodeGrader, Job
from league.seeds import generator
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
from tasks.coding.feedback import checks
from tasks.coding.levels import HELPER, MAXIMUM, Levels, own_helper, shape_of
from tasks.coding.problems import SOURCES, code_problem, problems_of
from tasks.coding.prompts import CODER, EDITOR, HELP, MAIN, asked, demonstration, review
from tasks.games.replies import cooperation_outcome, mix_rewards
from tasks.multiturn.feedback import Transition, continued, told
from tasks.multiturn.paths import Stage, by_turn, first_plays, last_said, leaves, until_write, written, wrote_before
from tasks.settings import check_writers
from tasks.task import Task


@dataclass(frozen=True)
class Coding(Task):
    """Settings of a coding match. Match.problems are the functions to write, one decision tree
    each."""

    source: str = "local-1"
    arrangement: Literal["parallel", "sequential", "discussion", "single"] = "parallel"
    transition: Transition = "plain"
    turns: int = 1
    """T, how often each agent writes."""
    credit: Literal["joint", "own"] = "joint"
    """own: the helper's writer by its function's form (1.9 at most), the main writer by its
    function run alone (2.1 at most)."""
    early_stop: bool = False
    """End a playthrough whose code earns everything."""
    items: int = 1
    """Problems per match."""
    samples: int = 4
    """G, the group of the first turn; evaluation speaks once, greedily."""
    branch: int = 1
    """Samples of each later turn per earlier joint reply; more than 1 gives later turns a group of
    their own."""
    joint: JointMode = "aligned"
    temperature: float = 0.7
    top_p: float = 0.9
    max_tokens: int = 96
    """Per function; the paper's is 256."""
    grader: CodeGrader | None = field(default=None, compare=False, metadata=INJECTED)
    """Injected with `with_grader`; without one the process's own is used. Never from a config."""
    relation: Relation = field(default="cooperation", init=False)

    def check(self) -> list[str]:
        problems = check_writers(self, {"source": tuple(SOURCES)})
        if self.turns == 1 and self.arrangement == "discussion":
            problems.append("arrangement: 'discussion' needs turns of at least 2, found 1")
        return problems

    def with_grader(self, grader: CodeGrader) -> "Coding":
        return replace(self, grader=grader)

    def writers(self) -> tuple[str, ...]:
        return (CODER,) if self.arrangement == "single" else (HELP, MAIN)

    def seats(self) -> tuple[str, ...]:
        return (*self.writers(), EDITOR) if self.transition == "expert_edits" else self.writers()

    def problems(self, split: Split, index: int, domain: str = "") -> tuple[Problem, ...]:
        """The problems of match number `index`; numbers beyond the last start again at the first."""
        found = problems_of(self.source)[split]
        return tuple(found[(index * self.items + offset) % len(found)] for offset in range(self.items))

    def demonstrations(self, count: int, seed: int, seats: Sequence[str]) -> list[tuple[tuple[Message, ...], str]]:
        """`count` worked answers from the train split, for `seats` in turn; none where the source
        has no helper in its solutions."""
        answers = [found for problem in problems_of(self.source)["train"] if (found := self._worked(problem, seats))]
        order = generator(seed, "demonstrations", self.source).permutation(len(answers))
        shown = [answers[place] for place in order]
        return [found[place % len(found)] for place in range(count) if shown and (found := shown[place % len(shown)])]

    def _worked(self, problem: Problem, seats: Sequence[str]) -> list[tuple[tuple[Message, ...], str]]:
        found = demonstration(problem, shows_helper=self.arrangement == "sequential")
        return [found[seat] for seat in seats if seat in found]

    # --------------------------------------------------------------------------------------------- playing
    @cached_property
    def _plan(self) -> tuple[Stage, ...]:
        one: tuple[Stage, ...] = (("write", self.writers()),)
        if self.arrangement == "sequential":
            one = (("help", (HELP,)), ("write", (MAIN,)))
        between: tuple[Stage, ...] = (("edit", (EDITOR,)),) if self.transition == "expert_edits" else ()
        return (*one, *(stage for _ in range(self.turns - 1) for stage in (*between, *one)))

    def open(self, match: Match) -> Sequence[Turn]:
        return [self._turn(match, about, (), None) for about in range(len(match.problems))]

    def follow(self, match: Match, path: TreePath) -> Sequence[Turn]:
        if len(path) >= len(self._plan):
            return []
        decision, _ = path[-1]
        about = decision.turn.about or 0
        levels = None
        if decision.turn.tag == "write":
            levels = self._judge([(match.problems[about], path)])[0]
            if self.early_stop and levels.total == MAXIMUM:
                return []
        return [self._turn(match, about, path, levels)]

    def _turn(self, match: Match, about: int, path: TreePath, levels: Levels | None) -> Turn:
        tag, seats = self._plan[len(path)]
        problem = match.problems[about]
        prompts = {seat: self._prompt(problem, path, seat, levels) for seat in seats}
        evaluate = match.purpose == "evaluate"
        sampling = Sampling(
            temperature=0.0 if evaluate else self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens * (2 if seats == (CODER,) else 1),
        )
        samples = 1 if evaluate or tag == "edit" else self.branch if wrote_before(path) else self.samples
        return Turn(tag, prompts, samples, dict.fromkeys(prompts, sampling), about, self.joint)

    def _prompt(self, problem: Problem, path: TreePath, seat: str, levels: Levels | None) -> tuple[Message, ...]:
        """What one seat sees: the problem the first time, then its own history with the feedback of
        the last turn."""
        said = last_said(path, seat)
        if seat == EDITOR:
            return (Message("user", review(problem, self._texts(path))),)
        if said is None:
            other = last_said(path, HELP) if seat == MAIN and self.arrangement == "sequential" else None
            return (Message("user", asked(problem, seat, other[1] if other else None)),)
        if levels is None:  # an editor or a helper has spoken since
            levels = self._judge([(problem, until_write(path))])[0]
        edits = last_said(path, EDITOR)
        feedback = told(self.transition, checks(levels), edits[1] if edits else "")
        partner = {HELP: MAIN, MAIN: HELP}.get(seat)
        shows = self.arrangement == "discussion" or (self.arrangement == "sequential" and seat == MAIN)
        shown = last_said(path, partner) if partner and shows else None
        if shown:
            feedback = f"{feedback}\n\nYour partner wrote:\n{shown[1].strip()}".strip()
        what = {HELP: f"`{HELPER}`", MAIN: "your function", CODER: "both functions"}[seat]
        return continued(said[0], said[1], feedback, f"Write {what} again, better. Only write code.")

    # --------------------------------------------------------------------------------------------- scoring
    def _texts(self, path: TreePath) -> tuple[str, str]:
        """The helper's and the main writer's newest replies; a single coder's counts as both."""
        seats = (CODER, CODER) if self.arrangement == "single" else (HELP, MAIN)
        found = [last_said(path, seat) for seat in seats]
        return (found[0][1] if found[0] else "", found[1][1] if found[1] else "")

    def _judge(self, pairs: Sequence[tuple[Problem, TreePath]], alone: bool = False) -> list[Levels]:
        """Levels of the code at the end of each path, `alone` without the helper; all programs are
        graded in one batch."""
        problems = [code_problem(problem) for problem, _ in pairs]
        texts = [("", self._texts(path)[1]) if alone else self._texts(path) for _, path in pairs]
        shapes = [shape_of(*pair, problem.entry_point) for problem, pair in zip(problems, texts, strict=True)]
        jobs = [
            Job(problem, shape.program, every=True)
            for problem, shape in zip(problems, shapes, strict=True)
            if shape.parses
        ]
        grades = iter(self._grader().grade(jobs) if jobs else [])
        return [Levels(shape, next(grades) if shape.parses else None) for shape in shapes]

    def _grader(self) -> CodeGrader:
        if self.grader is not None:
            return self.grader
        from league.sandbox.shared import shared_grader

        return shared_grader()

    def score(self, episode: Episode) -> Score:
        match = episode.match
        ends = [(match.problems[path[-1][0].turn.about or 0], path) for path in written(episode)]
        judged = {path[-1][1].id: levels for (_, path), levels in zip(ends, self._judge(ends), strict=True)}
        alone = self._alone(ends)
        rewards: dict[int, dict[str, float]] = {}
        void: set[tuple[int, str]] = set()
        for path, decision in episode.decisions():
            for node in decision.nodes:
                here = (*path, (decision, node))
                rewards[node.id] = self._rewards(match, here, judged.get(node.id), alone.get(node.id))
                for levels in (judged.get(node.id), alone.get(node.id)):
                    if levels is not None and levels.grade is not None and levels.grade.suspect:
                        void |= {(node.id, seat) for seat in self.writers()}
                    if levels is not None and levels.grade is not None and levels.grade.verdict == "infra":
                        void |= {(spoken.id, seat) for _, spoken in here for seat in self.writers()}
        return Score(rewards, self._metrics(episode, judged), tuple(self._outcomes(episode, judged)), frozenset(void))

    def _rewards(self, match: Match, path: TreePath, levels: Levels | None, alone: Levels | None) -> dict[str, float]:
        if levels is None:
            return dict.fromkeys(self.writers(), 0.0)
        each = dict.fromkeys(self.writers(), earned(levels))
        if alone is not None:
            each = {HELP: own_helper(self._texts(path)[0]), MAIN: earned(alone)}
        return mix_rewards(each, match.rewards)

    def _alone(self, ends: Sequence[tuple[Problem, TreePath]]) -> dict[int, Levels]:
        """node id → levels of the main function run without its partner's helper; nothing unless
        each writer is rewarded for itself."""
        if self.credit == "joint":
            return {}
        return {path[-1][1].id: levels for (_, path), levels in zip(ends, self._judge(ends, alone=True), strict=True)}

    def _metrics(self, episode: Episode, judged: Mapping[int, Levels]) -> dict[str, float]:
        """Means in [0, 1]: over last turns, except `return/turn-t`. What the grader could not judge
        is left out of all but `infra`."""
        last = [judged[node.id] for node in leaves(episode) if node.id in judged]
        fair = [levels for levels in last if levels.grade is None or levels.grade.verdict != "infra"]
        found = {"infra": fmean(levels.grade is not None and levels.grade.verdict == "infra" for levels in last)}
        if not fair:
            return found
        found |= {
            "structure": fmean(levels.structure for levels in fair),
            "syntax": fmean(levels.syntax for levels in fair) / 0.5,
            "tests": fmean(levels.tests for levels in fair),
            "cooperation": fmean(levels.cooperation for levels in fair) / 1.5,
            "return": fmean(levels.total for levels in fair) / MAXIMUM,
            "solved": fmean(levels.solved for levels in fair),
            "suspect": fmean(levels.grade is not None and levels.grade.suspect for levels in fair),
        }
        for turn, nodes in sorted(by_turn(episode).items()) if self.turns > 1 else ():
            found[f"return/turn-{turn}"] = fmean(judged[node].total for node in nodes) / MAXIMUM
        return found

    def _outcomes(self, episode: Episode, judged: Mapping[int, Levels]) -> Iterator[Outcome]:
        """One cooperation per domain: the joint reward of independent playthroughs; a single coder
        has no partner."""
        if self.arrangement == "single":
            return
        match = episode.match
        by_domain: dict[str, list[float]] = {}
        for root in episode.roots:
            for node in first_plays(root):
                levels = judged[node.id]
                if levels.grade is None or levels.grade.verdict != "infra":
                    by_domain.setdefault(match.problems[root.turn.about or 0].domain, []).append(earned(levels))
        for domain, joint in by_domain.items():
            yield cooperation_outcome(match, self.name, domain, (HELP, MAIN), joint)


def earned(levels: Levels) -> float:
    """The joint reward in [0, 4]. An answer that looks like an attack earns nothing beyond its
    form, also for the turns before it."""
    if levels.grade is not None and (levels.grade.suspect or levels.grade.verdict == "infra"):
        return levels.structure + levels.syntax
    return levels.total
