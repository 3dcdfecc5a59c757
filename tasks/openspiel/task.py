"""A two-player game of OpenSpiel as a task: every deal is played twice, once in each position.

Chance comes from the match's seed: the k-th draw of a deal is the same number whatever was played, so both positions
and all siblings of a group meet the same luck. Playing a deal both ways removes the advantage of a position from the
payoffs. A state is worked out anew from the replies on the path; the newest few thousand are remembered.

Rewards are the game's returns divided by the largest amount of its utility, so they lie in [-1, 1]. A reply that is no
legal action either forfeits the game (`invalid: loss`) or is asked for again up to `retries` times ("resample") and
forfeits only then. A forfeit earns the least that the game can give. The other player then earns what is left of the
sum in a game with a constant one, the same least in a game of identical interests, and the middle of the utility's
range in any other. A game that is not over after `moves` moves is a draw: each earns that middle.

What this leaves out: exact policies and exploitability (`tasks/openspiel/exact.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import fmean
from typing import Annotated, Literal

from pydantic import Field

from league.errors import UserError
from league.seeds import generator
from league.types import (
    Decision,
    Episode,
    Match,
    Message,
    Node,
    Outcome,
    Problem,
    Relation,
    Sampling,
    Score,
    Split,
    TreePath,
    Turn,
)
from tasks.games.replies import Invalid, check_grammars
from tasks.openspiel.games import Game, State, installed, load_game, random_play, settle, utility_of
from tasks.openspiel.text import action_grammar, labels, parse_action, prompt
from tasks.outcomes import contest_outcome, cooperation_outcome
from tasks.rewards import mix_rewards
from tasks.task import Demonstration, Task, user_prompt

SEATS = ("row", "col")
REMEMBERED = 4096
"""States that are kept between calls, all games together."""
LONGEST_REPLY = 256
"""Tokens of a reply at most, where none are set."""


@dataclass(frozen=True)
class Deal:
    """Where a game begins: its luck, and what a reply that is no action leads to."""

    game: str
    seed: int
    number: int
    retries: int


@dataclass(frozen=True)
class Standing:
    """Where a game stands after some replies."""

    state: State
    drawn: int
    """How often chance was drawn."""
    moves: int = 0
    again: int = 0
    """How often the player to act was asked again."""
    lost: int | None = None
    """The player that forfeited."""


@lru_cache(maxsize=REMEMBERED)
def standing(deal: Deal, replies: tuple[str, ...]) -> Standing:
    """Where a deal stands after its replies, in order."""
    if not replies:
        state, drawn = settle(load_game(deal.game).new_initial_state(), lambda count: _chance(deal, count))
        return Standing(state, drawn)
    before = standing(deal, replies[:-1])
    action = parse_action(replies[-1], labels(before.state))
    if action is None and before.again < deal.retries:
        return Standing(before.state, before.drawn, before.moves, before.again + 1)
    if action is None:
        return Standing(before.state, before.drawn, before.moves, lost=before.state.current_player())
    state, drawn = settle(before.state.child(action), lambda count: _chance(deal, count), before.drawn)
    return Standing(state, drawn, before.moves + 1)


@lru_cache(maxsize=REMEMBERED)
def drawn_place(deal: Deal, tag: str, most: int) -> int:
    """The decision at which a group stands: all decisions of one random play are alike."""
    length = len(random_play(load_game(deal.game), deal.game, deal.seed, tag, most=most))
    return int(generator(deal.seed, "openspiel", "group", tag).integers(max(1, length)))


def _chance(deal: Deal, count: int) -> float:
    return float(generator(deal.seed, "openspiel", deal.number, count).random())


@dataclass(frozen=True)
class OpenSpielGame(Task):
    """The settings of a game, and the course of its match."""

    game: str = "kuhn_poker"
    """As OpenSpiel names it, with parameters in brackets."""
    deals: Annotated[int, Field(ge=1)] = 4
    """Each is played in both positions."""
    samples: Annotated[int, Field(ge=1)] = 8
    """Replies of the group: one decision of each deal and position. Evaluation has it at the first."""
    group: Literal["drawn", "first"] = "drawn"
    """Where the group stands: at a decision drawn from the match's seed, or at the first."""
    branch: Annotated[int, Field(ge=1)] = 1
    """Replies at each decision after the group. More than 1 grows like a tree: for short games only."""
    moves: Annotated[int, Field(ge=1, le=1000)] = 100
    """A game that is not over after so many is a draw."""
    invalid: Invalid = "loss"
    retries: Annotated[int, Field(ge=0, le=10)] = 1
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """0 is greedy, 1 the model's own distribution."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """None takes what the longest action name of some random plays may need."""
    constrained: bool | None = None
    """Hold replies to the legal actions by a grammar; None does so where llguidance is installed."""
    counts_as: Literal["auto", "contest", "cooperation"] = "auto"
    """The payoffs: a contest where one's win is the other's loss, else cooperation, unless said."""
    rules: str = ""
    """What players are told of the rules; some games have words of ours."""

    # ------------------------------------------------------------------------------------ settings and seats
    @property
    def relation(self) -> Relation:
        if self.counts_as != "auto":
            return self.counts_as
        return "contest" if utility_of(self.rules_of_play) == "zero-sum" else "cooperation"

    @property
    def rules_of_play(self) -> Game:
        """OpenSpiel's game."""
        return load_game(self.game)

    def seats(self) -> tuple[str, ...]:
        return SEATS

    def check(self) -> list[str]:
        if not installed():
            return ["game: OpenSpiel is not installed (pip install 'llm-league[openspiel]')"]
        try:
            load_game(self.game)
        except UserError as error:
            return [f"game: {error}"]
        return check_grammars(bool(self.constrained))

    def problems(self, split: Split, index: int, domain: str) -> tuple[Problem, ...]:
        """None: the deals come from the match's seed."""
        return ()

    def demonstrations(self, count: int, seed: int, seats: Sequence[str]) -> list[Demonstration]:
        """(prompt, action) pairs to learn the format from, not the play.

        Positions of random plays, and a legal action of each, all alike.
        """
        if not set(seats) & set(SEATS):
            return []
        rng, play = generator(seed, "demonstrations", "openspiel", self.game), 0
        found: list[Demonstration] = []
        while len(found) < count:
            for state in random_play(self.rules_of_play, self.game, seed, "shown", play, most=self.moves):
                named = list(labels(state).values())
                found.append((self.read(state, again=False), named[int(rng.integers(len(named)))]))
            play += 1
        order = rng.permutation(len(found))[:count]
        return [found[place] for place in order]

    @cached_property
    def _longest(self) -> int:
        """Tokens that the longest action name met in some random plays can take, with its end."""
        if self.max_tokens is not None:
            return self.max_tokens
        plays = (random_play(self.rules_of_play, self.game, play, most=self.moves) for play in range(4))
        names = [len(name.encode()) for play in plays for state in play for name in labels(state).values()]
        return min(LONGEST_REPLY, max(names, default=7) + 1)

    @cached_property
    def _held(self) -> bool:
        """Whether replies are held to the legal actions."""
        return not check_grammars(True) if self.constrained is None else self.constrained

    # --------------------------------------------------------------------------------------------- playing
    def open(self, match: Match) -> Sequence[Turn]:
        return [
            self._turn(match, f"{number}/{first}", self._deal(match, number), ())
            for number in range(self.deals)
            for first in SEATS
        ]

    def follow(self, match: Match, path: TreePath) -> Sequence[Turn]:
        tag = path[0][0].turn.tag
        deal, replies = self._replies(match, path)
        return [] if self._over(self._standing(deal, replies)) else [self._turn(match, tag, deal, replies)]

    def _turn(self, match: Match, tag: str, deal: Deal, replies: tuple[str, ...]) -> Turn:
        now = self._standing(deal, replies)
        seat = _order(tag)[now.state.current_player()]
        sampling = self.sampling(list(labels(now.state).values()))
        prompts = {seat: self.read(now.state, now.again > 0)}
        return Turn(tag, prompts, self._samples(match, tag, deal, now), {seat: sampling})

    def sampling(self, names: Sequence[str]) -> Sampling:
        """How a reply is drawn that should be one of the names."""
        return Sampling(
            temperature=self.temperature,
            max_tokens=self._longest,
            stop=("\n",),
            grammar=action_grammar(names) if self._held else None,
        )

    def read(self, state: State, again: bool) -> tuple[Message, ...]:
        """What the player to act is asked."""
        return user_prompt(prompt(self.rules_of_play, state, self.rules, again))

    def _samples(self, match: Match, tag: str, deal: Deal, now: Standing) -> int:
        """How many replies are drawn: the group's at its decision, one before it and for who is asked again."""
        place = 0 if match.purpose == "evaluate" or self.group == "first" else drawn_place(deal, tag, self.moves)
        if now.again or now.moves < place:
            return 1
        if now.moves == place:
            return self.samples
        return 1 if match.purpose == "evaluate" else self.branch

    # ------------------------------------------------------------------------------------------- standings
    def _deal(self, match: Match, number: int) -> Deal:
        return Deal(self.game, match.seed, number, self.retries if self.invalid == "resample" else 0)

    def _replies(self, match: Match, path: TreePath) -> tuple[Deal, tuple[str, ...]]:
        deal = self._deal(match, int(path[0][0].turn.tag.split("/")[0]))
        return deal, tuple(text for decision, node in path for text in decision.texts(node).values())

    def _standing(self, deal: Deal, replies: tuple[str, ...]) -> Standing:
        """The beginnings come first, so that no call goes deeper than one reply."""
        for end in range(len(replies)):
            standing(deal, replies[:end])
        return standing(deal, replies)

    def _over(self, now: Standing) -> bool:
        return now.lost is not None or now.state.is_terminal() or now.moves >= self.moves

    def _earned(self, now: Standing) -> tuple[float, float]:
        """What players 0 and 1 earn at the end, in the game's own units."""
        game = self.rules_of_play
        least, middle = game.min_utility(), (game.min_utility() + game.max_utility()) / 2
        if now.lost is None:
            first, second = now.state.returns() if now.state.is_terminal() else (middle, middle)
            return first, second
        utility = utility_of(game)
        left = (game.utility_sum() or 0.0) - least if utility == "zero-sum" else middle
        other = least if utility == "identical" else left
        return (least, other) if now.lost == 0 else (other, least)

    @cached_property
    def _unit(self) -> float:
        """The largest amount that a player can win or lose."""
        game = self.rules_of_play
        return max(abs(game.min_utility()), abs(game.max_utility())) or 1.0

    # --------------------------------------------------------------------------------------------- scoring
    def score(self, episode: Episode) -> Score:
        match, rewards = episode.match, {}
        for path, decision in episode.decisions():
            order = _order((path[0][0] if path else decision).turn.tag)
            for node in decision.nodes:
                now = self._standing(*self._replies(match, (*path, (decision, node))))
                ends = self._over(now)
                earned = [value / self._unit for value in self._earned(now)] if ends else [0.0, 0.0]
                rewards[node.id] = mix_rewards(dict(zip(order, earned, strict=True)), match.rewards)
        plays = list(self._plays(episode))
        return Score(rewards, self._metrics(episode, plays), self._outcomes(match, plays))

    def _plays(self, episode: Episode) -> Iterator[tuple[float, float]]:
        """What row and col earned per game in independent plays of a deal, each played both ways.

        The j-th first reply of each position, followed by its first continuation.
        """
        for ours, theirs in zip(episode.roots[::2], episode.roots[1::2], strict=True):
            for nodes in zip(ours.nodes, theirs.nodes, strict=False):
                earned = [
                    dict(zip(_order(root.turn.tag), self._earned(self._end(episode.match, root, node)), strict=True))
                    for root, node in zip((ours, theirs), nodes, strict=True)
                ]
                yield fmean(each["row"] for each in earned), fmean(each["col"] for each in earned)

    def _end(self, match: Match, root: Decision, node: Node) -> Standing:
        path: TreePath = ((root, node),)
        while path[-1][1].next:
            decision = path[-1][1].next[0]
            path = (*path, (decision, decision.nodes[0]))
        return self._standing(*self._replies(match, path))

    def _outcomes(self, match: Match, plays: list[tuple[float, float]]) -> tuple[Outcome, ...]:
        """Of a pair of games who earned more; in cooperation what both earned, per game."""
        if self.relation == "contest":
            return contest_outcome(match, self.name, [_rounded(a - b) / self._unit for a, b in plays])
        return (cooperation_outcome(match, self.name, "", SEATS, [(a + b) / self._unit for a, b in plays]),)

    def _metrics(self, episode: Episode, plays: list[tuple[float, float]]) -> dict[str, float]:
        """Per seat the mean return in the game's units and the share of invalid replies; its moves."""
        ends = [self._standing(*self._replies(episode.match, path)) for path in _leaves(episode)]
        found = {
            "row/payoff": fmean(a for a, _ in plays),
            "col/payoff": fmean(b for _, b in plays),
            "moves": fmean(now.moves for now in ends),
            "broken_off": fmean(now.lost is None and not now.state.is_terminal() for now in ends),
        }
        said: dict[str, list[bool]] = {seat: [] for seat in SEATS}
        for path, decision in episode.decisions():
            before = self._before(episode.match, path, decision)
            for seat, replies in decision.replies.items():
                named = labels(before.state)
                said[seat] += [parse_action(reply.text, named) is None for reply in replies]
        return found | {f"{seat}/invalid": fmean(wrong) for seat, wrong in said.items() if wrong}

    def _before(self, match: Match, path: TreePath, decision: Decision) -> Standing:
        if path:
            return self._standing(*self._replies(match, path))
        return self._standing(self._deal(match, int(decision.turn.tag.split("/")[0])), ())


def _order(tag: str) -> tuple[str, str]:
    """The seats by player: the tag's seat is player 0."""
    first = tag.split("/")[1]
    return (first, SEATS[1 - SEATS.index(first)])


def _leaves(episode: Episode) -> Iterator[TreePath]:
    for path, decision in episode.decisions():
        yield from ((*path, (decision, node)) for node in decision.nodes if not node.next)


def _rounded(value: float) -> float:
    """A difference of two sums of the same returns, without the last bits: equal results are a draw."""
    return round(value, 9)
