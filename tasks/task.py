"""What a kind of match is: the one base of every task, shipped or a user's own.

A task is pure: no model, no tensors, no I/O, no state between calls. A kind is a frozen dataclass under `Task` whose
fields are its settings. `name` and `domains` come first and are filled in by the run. What a kind does not say has
the default given here, so nobody has to ask whether a task has something.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

from league.types import (
    Channel,
    Episode,
    Match,
    Message,
    Problem,
    Reading,
    Relation,
    Reply,
    Score,
    Split,
    TreePath,
    Turn,
)
from tasks.domains import Domain

Demonstration = tuple[tuple[Message, ...], str]
"""A prompt and a legal reply to it."""


def user_prompt(text: str) -> tuple[Message, ...]:
    """A prompt of one user message; the agent's own system message comes before it."""
    return (Message("user", text),)


class Fluency(Protocol):
    """Scores texts between 0 (not language) and 1 (reads well)."""

    def __call__(self, texts: Sequence[str]) -> list[float]: ...


@dataclass(frozen=True)
class Task(ABC):
    """The rules of one kind of match: who sits where, who sees and says what, and what it is worth."""

    name: str
    """The task's name in its run."""
    domains: Mapping[str, Domain] = field(default_factory=dict)
    """The run's domains, for a kind that `uses_domains`; empty for all others."""

    uses_domains: ClassVar[bool] = False
    """Whether its problems come from the run's domains."""
    channel: ClassVar[Channel] = "own_samples"
    """The way of learning that its tokens are spent on."""

    @property
    @abstractmethod
    def relation(self) -> Relation:
        """The kind of payoff its matches yield."""

    # ------------------------------------------------------------------------------------------------- seats
    @abstractmethod
    def seats(self) -> tuple[str, ...]:
        """Names of the seats, in speaking order, or one pattern such as "player-*" for any number of players."""

    @property
    def players(self) -> int:
        """How many seats the scheduler fills where any number of players may sit."""
        return 2

    @property
    def any_number(self) -> bool:
        """Whether the one seat is a pattern for any number of players."""
        return self.seats()[0].endswith("*")

    @property
    def seat_count(self) -> int:
        """Number of seats the scheduler fills."""
        return self.players if self.any_number else len(self.seats())

    def seat_names(self, count: int) -> tuple[str, ...]:
        """The seats, a pattern filled in for `count` players."""
        names = self.seats()
        return tuple(names[0].replace("*", str(place)) for place in range(1, count + 1)) if self.any_number else names

    # ----------------------------------------------------------------------------------------------- problems
    @property
    def width(self) -> int:
        """Problems that the next match number moves on, so that the first match begins just behind a warm-up.

        With less than it truly moves on, matches begin further behind.
        """
        return 1

    @property
    def domain_names(self) -> tuple[str, ...]:
        """The domains a match may be about; one empty name where the task has none."""
        return tuple(self.domains) or ("",)

    @abstractmethod
    def problems(self, split: Split, index: int, domain: str) -> tuple[Problem, ...]:
        """The problem set of match number `index`; `domain` is "" for tasks without domains."""

    def demonstrations(self, count: int, seed: int, seats: Sequence[str]) -> Sequence[Demonstration]:
        """`count` legal replies that show the format of the game, not how to win it, for `seats` in turn.

        Empty where the task has no format to show.
        """
        return ()

    # ------------------------------------------------------------------------------------------------ playing
    @abstractmethod
    def open(self, match: Match) -> Sequence[Turn]:
        """The decision points at the root."""

    @abstractmethod
    def follow(self, match: Match, path: TreePath) -> Sequence[Turn]:
        """The decision points after the joint action at the end of `path`; empty when nobody is left to speak."""

    def goes_on(self, match: Match, turn: Turn, probes: Mapping[str, Sequence[Reply]]) -> bool:
        """Whether to draw the rest of a turn's samples, now that its `probes` (per seat) are known."""
        return True

    def readings(self, episode: Episode) -> Sequence[Reading]:
        """Likelihoods that `score` needs of a finished tree; asked for between play and score."""
        return ()

    @property
    def read_seats(self) -> tuple[str, ...]:
        """The seats that `readings` of a training match are about.

        Only a player with an adapter can answer them.
        """
        return ()

    @abstractmethod
    def score(self, episode: Episode) -> Score:
        """Rewards, metrics and outcomes of a finished tree."""

    def verifier_calls(self, episode: Episode) -> int:
        """How many replies a verifier judges to score the episode.

        In tasks about the run's domains, every reply about a problem; elsewhere none unless the task says so.
        """
        if not self.uses_domains:
            return 0
        about = (decision for _, decision in episode.decisions() if decision.turn.about is not None)
        return sum(len(replies) for decision in about for replies in decision.replies.values())

    # ----------------------------------------------------------------------------------------------- settings
    def check(self) -> list[str]:
        """Problems with the settings, each `key: what is wrong (remedy)`."""
        return []

    def with_fluency(self, fluency: Fluency) -> Self:
        """The same task, judging fluency by `fluency` too; itself where it judges none."""
        return self
