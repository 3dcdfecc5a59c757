"""An environment of the `verifiers` library as a task, its rubric as the reward.

Each player's play of each row is a tree of its own: a group of first replies, then what the environment answers, until
it ends the rollout or `turns` replies were given. Then its rubric gives the reward, at the last reply. Players of a
match play the same rows from the same seed; their rewards are compared reply by reply, as in a contest.

The splits are the environment's: rows with which it trains are train; its evaluation rows are shared between validation
and test by a hash of their words. An environment without evaluation rows gives 60% train, 20% and 20% by that hash.
Rows that differ only in case, spaces and punctuation are one problem and never on two sides.

Environments run in a process of their own (`tasks/verifiers/worker.py`), so that they may hang or die. Where a rollout
or a rubric raises, hangs, or gives a reward that is not finite, that play is void: nothing is learned from it, no
payoff counts it, and the metric `failed` says how many. Refused by name are environments with tools, with rewards of
whole groups, and with prompts that hold more than text.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from statistics import fmean
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from league.errors import UserError
from league.seeds import derive
from league.types import Episode, Match, Message, Problem, Relation, Sampling, Score, Split, TreePath, Turn
from tasks.outcomes import item_outcomes
from tasks.rewards import mixed_reward
from tasks.task import Task
from tasks.verifiers.process import EnvironmentFailed, EnvironmentProcess, Loaded, process_of

log = logging.getLogger("league.verifiers")
REMEMBERED = 4096
"""Plays whose last answer is kept between calls, all environments together."""
Said = tuple[tuple[str, bool], ...]
"""(reply, whether it was cut off at its longest) of each turn."""


@dataclass(frozen=True)
class Answered:
    """What an environment says to the replies so far: it asks on, it ends with a reward, or it failed."""

    prompt: tuple[Message, ...] = ()
    reward: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    failed: str = ""


@dataclass(frozen=True)
class Play:
    """A player's play of one row."""

    loaded: Loaded
    split: Split
    row: int
    seed: int
    turns: int
    seconds: float


@lru_cache(maxsize=REMEMBERED)
def environment_answer(play: Play, said: Said) -> Answered:
    """What the environment answers."""
    request = {"do": "play", "split": play.split, "place": play.row, "seed": play.seed, "replies": said}
    try:
        found = process_of(play.loaded).ask({**request, "ends": len(said) >= play.turns}, play.seconds)
    except EnvironmentFailed as failed:
        log.warning("environment %s, %s row %d: %s", play.loaded.environment, play.split, play.row, failed)
        return Answered(failed=str(failed))
    if "next" in found:
        return Answered(tuple(Message(_role(each["role"]), each["content"]) for each in found["next"]))
    return Answered(reward=float(found["reward"]), metrics=found["metrics"])


def _role(name: str) -> Literal["system", "user", "assistant"]:
    return cast(Literal["system", "user", "assistant"], name)


@dataclass(frozen=True)
class VerifiersEnvironment(Task):
    """The settings of an environment, and the course of its match."""

    environment: str = ""
    """The environment's id: its module's name, with dashes or not. The module may lie beside the config."""
    args: dict[str, Any] = field(default_factory=dict)
    """What its `load_environment` is given."""
    python: str = ""
    """Another interpreter that has `verifiers` and the environment, by its absolute path."""
    items: Annotated[int, Field(ge=1)] = 2
    """Rows per match."""
    answers: Annotated[int, Field(ge=2)] = 4
    """First replies per player and row in training; evaluation asks once, greedily."""
    branch: Annotated[int, Field(ge=1)] = 1
    """Replies at each later turn, after each earlier reply."""
    turns: Annotated[int, Field(ge=1, le=64)] = 8
    """Replies of a play at most; then its prompt is said to be too long, and the rubric scores."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Above 0, so that samples differ."""
    max_tokens: Annotated[int, Field(ge=1)] = 128
    """Of each reply."""
    players: Annotated[int, Field(ge=1)] = 2
    """How many seats the scheduler fills; 1 is plain reinforcement learning on the rubric."""
    seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """What one answer of the environment may take, its rubric included."""
    relation: Relation = field(default="contest", init=False)

    # ------------------------------------------------------------------------------------ settings and rows
    def seats(self) -> tuple[str, ...]:
        return ("player-*",)

    def check(self) -> list[str]:
        if not self.environment:
            return ["environment: expected the id of an environment, such as gsm8k"]
        if self.python and not os.access(self.python, os.X_OK):
            return [f"python: '{self.python}' cannot be run (an absolute path of an interpreter with verifiers)"]
        if not self.python and find_spec("verifiers") is None:
            return [
                "environment: verifiers is not installed (pip install 'llm-league[verifiers]', or name an interpreter "
                "that has it in settings.python)"
            ]
        try:
            json.dumps(self.args)
            rows = self._process().rows
        except TypeError as error:
            return [f"args: expected plain values, found one that JSON does not know ({error})"]
        except UserError as error:
            return [f"environment: {error}"]
        empty = [split for split, count in rows.items() if not count]
        return [f"environment: '{self.environment}' has no rows for {', '.join(empty)}"] if empty else []

    def _process(self) -> EnvironmentProcess:
        found = process_of(self._loaded())
        found.started()
        return found

    def _loaded(self) -> Loaded:
        return Loaded(self.environment, json.dumps(self.args, sort_keys=True), self.python)

    @property
    def width(self) -> int:
        return self.items

    def problems(self, split: Split, index: int, domain: str) -> tuple[Problem, ...]:
        """The rows of match number `index`; numbers beyond the last start again at the first."""
        process = self._process()
        places = [(index * self.items + offset) % process.rows[split] for offset in range(self.items)]
        shown = [process.ask({"do": "row", "split": split, "place": place}, self.seconds) for place in places]
        return tuple(
            Problem("", split, place, each["question"], each["answer"])
            for place, each in zip(places, shown, strict=True)
        )

    # --------------------------------------------------------------------------------------------- playing
    def open(self, match: Match) -> Sequence[Turn]:
        found = []
        for about in range(len(match.problems)):
            now = environment_answer(self._play(match, about), ())
            found += [self._turn(match, about, seat, now, first=True) for seat in match.seats if now.prompt]
        return found

    def follow(self, match: Match, path: TreePath) -> Sequence[Turn]:
        decision = path[-1][0]
        (seat,) = decision.turn.prompts
        about = decision.turn.about or 0
        now = environment_answer(self._play(match, about), _said(path))
        return [self._turn(match, about, seat, now, first=False)] if now.prompt else []

    def _turn(self, match: Match, about: int, seat: str, now: Answered, *, first: bool) -> Turn:
        evaluate = match.purpose == "evaluate"
        sampling = Sampling(temperature=0.0 if evaluate else self.temperature, max_tokens=self.max_tokens)
        samples = 1 if evaluate else self.answers if first else self.branch
        return Turn("answer", {seat: now.prompt}, samples, {seat: sampling}, about)

    def _play(self, match: Match, about: int) -> Play:
        problem = match.problems[about]
        seed = derive(match.seed, "verifiers", about)
        return Play(self._loaded(), problem.split, problem.index, seed, turns=self.turns, seconds=self.seconds)

    # --------------------------------------------------------------------------------------------- scoring
    def score(self, episode: Episode) -> Score:
        match = episode.match
        ends = list(self._ends(episode))
        items: dict[tuple[str, int], list[float]] = {}
        for path, end in ends:
            if end.reward is not None and _first_continuations(path):
                items.setdefault(_whose(path), []).append(end.reward)
        rewards: dict[int, dict[str, float]] = {
            node.id: dict.fromkeys(decision.turn.prompts, 0.0)
            for _, decision in episode.decisions()
            for node in decision.nodes
        }
        void: set[tuple[int, str]] = set()
        for path, end in ends:
            seat, about = _whose(path)
            if end.reward is None:
                void |= {(node.id, seat) for _, node in path}
                continue
            others = [fmean(items[o, about]) for o in match.seats if o != seat and (o, about) in items]
            rewards[path[-1][1].id] = {seat: mixed_reward(end.reward, others, match.rewards)}
        order = sorted(match.seats, key=lambda seat: (match.seats[seat], seat))  # the smaller version is the row
        outcomes = tuple(each for each in item_outcomes(match, self.name, items, order) if each.n)
        return Score(rewards, self._metrics(match, ends, items), outcomes, frozenset(void))

    def _ends(self, episode: Episode) -> Iterator[tuple[TreePath, Answered]]:
        """Every play with what the environment made of it; one it failed at on the way has no reward."""
        for path, decision in episode.decisions():
            for node in decision.nodes:
                if not node.next:
                    here = (*path, (decision, node))
                    yield here, environment_answer(self._play(episode.match, decision.turn.about or 0), _said(here))

    def _metrics(
        self, match: Match, ends: list[tuple[TreePath, Answered]], items: Mapping[tuple[str, int], Sequence[float]]
    ) -> dict[str, float]:
        """Mean rewards in all, per seat and per part of the rubric, turns, and the share that failed."""
        found = {"failed": fmean(end.reward is None for _, end in ends) if ends else 1.0}
        by_seat = {
            seat: [r for (who, _), rewards in items.items() if who == seat for r in rewards] for seat in match.seats
        }
        found |= {f"reward/{seat}": fmean(rewards) for seat, rewards in by_seat.items() if rewards}
        every = [reward for rewards in by_seat.values() for reward in rewards]
        if every:
            found["reward"] = fmean(every)
            found["turns"] = fmean(len(path) for path, end in ends if end.reward is not None)
        parts: dict[str, list[float]] = {}
        for _, end in ends:
            for name, value in end.metrics.items():
                parts.setdefault(name, []).append(value)
        return found | {f"rubric/{name}": fmean(values) for name, values in parts.items()}

    def verifier_calls(self, episode: Episode) -> int:
        """The rubric judges every play once."""
        return sum(1 for _ in self._ends(episode))


def _said(path: TreePath) -> Said:
    return tuple(
        (reply.text, reply.finish == "length")
        for decision, node in path
        for reply in (decision.replies[seat][pick] for seat, pick in node.picks.items())
    )


def _whose(path: TreePath) -> tuple[str, int]:
    """(seat, place of the row) of a play."""
    turn = path[0][0].turn
    (seat,) = turn.prompts
    return seat, turn.about or 0


def _first_continuations(path: TreePath) -> bool:
    """Whether a play is the independent one of its first reply: always the first continuation."""
    return all(node is decision.nodes[0] for decision, node in path[1:])
