"""Kuhn poker played through text, in duplicate: every deal is played twice, once in each position.

The rules and what is known exactly are in `tasks/games/kuhn_solution.py`, the parser in `tasks/games/replies.py`. With
all six deals the cards add no noise at all; fewer are drawn from the match's seed. Playing a deal both ways removes the
advantage of the second position from the payoffs, so a result says who plays better and not who sat where.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from league.seeds import generator
from league.types import Decision, Episode, Match, Node, Problem, Relation, Score, Split, TreePath, Turn
from tasks.games.kuhn_solution import DEALS, chips, to_act
from tasks.games.replies import Invalid, check_grammars, move_sampling, parse_move
from tasks.outcomes import contest_outcome
from tasks.rewards import mix_rewards
from tasks.task import Demonstration, Task, user_prompt

SEATS = ("row", "col")
WORDS = {"": ("check", "bet"), "c": ("check", "bet"), "b": ("fold", "call"), "cb": ("fold", "call")}
STORY = {
    "": "You act first.",
    "c": "The opponent checked.",
    "b": "The opponent bet.",
    "cb": "You checked and the opponent bet.",
}
FORFEIT = 2.0


@dataclass(frozen=True)
class Hand:
    """Where a hand stands: `order` are the seats by position.

    `lost` is the position that forfeited.
    """

    deal: str
    order: tuple[str, str]
    history: str
    retries: int = 0
    lost: int | None = None

    @property
    def position(self) -> int | None:
        """Who acts now, or None at the end."""
        return to_act(self.history) if self.lost is None else None

    @property
    def infoset(self) -> str:
        position = self.position
        assert position is not None
        return self.deal[position] + self.history

    def chips(self) -> dict[str, float]:
        """Chips won by each seat at the end.

        A forfeit costs two, the most a hand can, so it never passes for a fold.
        """
        first = chips(self.deal, self.history) if self.lost is None else FORFEIT * (2 * self.lost - 1)
        return {self.order[0]: first, self.order[1]: -first}


@dataclass(frozen=True)
class KuhnPoker(Task):
    """Two-player Kuhn poker over `deals` of the six deals, each in both positions."""

    samples: Annotated[int, Field(ge=1)] = 4
    """Replies at the first decision of a hand: the group."""
    branch: Annotated[int, Field(ge=1)] = 2
    """Replies at later decisions, after each earlier action."""
    deals: Annotated[int, Field(ge=1, le=6)] = 6
    """6 plays every deal."""
    invalid: Invalid = "loss"
    retries: Annotated[int, Field(ge=0)] = 1
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """0 is greedy, 1 the model's own distribution."""
    max_tokens: Annotated[int, Field(ge=1)] = 4
    constrained: bool = False
    relation: Relation = field(default="contest", init=False)

    def seats(self) -> tuple[str, ...]:
        return SEATS

    def check(self) -> list[str]:
        return check_grammars(self.constrained)

    def problems(self, split: Split, index: int, domain: str) -> tuple[Problem, ...]:
        """None: the deals come from the match's seed."""
        return ()

    def demonstrations(self, count: int, seed: int, seats: Sequence[str]) -> list[Demonstration]:
        """(prompt, move) pairs to learn the format from, not the play.

        Every information set and both its moves alike.

        Either player may be dealt to act first, so every one of `seats` needs all of them.
        """
        if not set(seats) & set(SEATS):
            return []
        hands = [Hand(deal, SEATS, history) for deal in DEALS for history in WORDS]
        pairs = [(user_prompt(self.prompt(hand)), word) for hand in hands for word in WORDS[hand.history]]
        order = generator(seed, "demonstrations", "kuhn").permutation(len(pairs))
        return [pairs[order[place % len(pairs)]] for place in range(count)]

    # --------------------------------------------------------------------------------------------- playing
    def open(self, match: Match) -> Sequence[Turn]:
        drawn = generator(match.seed, "kuhn", "deals").permutation(len(DEALS))[: self.deals]
        deals = [DEALS[index] for index in sorted(drawn)]
        return [self._turn(Hand(deal, order, ""), self.samples) for deal in deals for order in (SEATS, SEATS[::-1])]

    def follow(self, match: Match, path: TreePath) -> Sequence[Turn]:
        hand = self._hand(path)
        if hand.position is None:
            return []
        return [self._turn(hand, 1 if hand.retries else self.branch)]

    def _turn(self, hand: Hand, samples: int) -> Turn:
        position = hand.position
        assert position is not None
        seat = hand.order[position]
        sampling = move_sampling(WORDS[hand.history], self.temperature, self.max_tokens, self.constrained)
        return Turn(
            f"{hand.deal}/{hand.order[0]}/{hand.history}",
            {seat: user_prompt(self.prompt(hand))},
            samples,
            {seat: sampling},
        )

    def prompt(self, hand: Hand) -> str:
        """What the player to act reads; it depends on its own card and the actions only."""
        again = " Your last reply was not a move." if hand.retries else ""
        return (
            f"Kuhn poker: cards J < Q < K, one each, ante 1, bets of 1. Your card is {hand.infoset[0]}. "
            f"{STORY[hand.history]}{again} Answer with one word: {' or '.join(WORDS[hand.history])}."
        )

    def _hand(self, path: TreePath) -> Hand:
        """The hand after the replies along `path`."""
        deal, first, _ = path[0][0].turn.tag.split("/")
        order = (first, SEATS[1 - SEATS.index(first)])
        hand = Hand(deal, order, "")
        for decision, node in path:
            position = hand.position
            assert position is not None
            words = WORDS[hand.history]
            move = parse_move(decision.texts(node)[order[position]], words)
            if move is not None:
                hand = Hand(deal, order, hand.history + "cb"[words.index(move)])
            elif self.invalid == "resample" and hand.retries < self.retries:
                hand = Hand(deal, order, hand.history, hand.retries + 1)
            else:
                hand = Hand(deal, order, hand.history, lost=position)
        return hand

    # --------------------------------------------------------------------------------------------- scoring
    def score(self, episode: Episode) -> Score:
        rewards: dict[int, dict[str, float]] = {}
        for path, decision in episode.decisions():
            for node in decision.nodes:
                hand = self._hand((*path, (decision, node)))
                payoffs = hand.chips() if hand.position is None else dict.fromkeys(SEATS, 0.0)
                rewards[node.id] = mix_rewards(payoffs, episode.match.rewards)
        totals = list(self._duplicates(episode))
        return Score(
            rewards,
            self._metrics(episode, totals),
            contest_outcome(episode.match, self.name, [2 * total for total in totals]),
        )

    def _duplicates(self, episode: Episode) -> Iterator[float]:
        """Chips of `row` in one deal played both ways.

        The j-th first reply of each, followed by its first continuation.
        """
        for ours, theirs in zip(episode.roots[::2], episode.roots[1::2], strict=True):
            for nodes in zip(ours.nodes, theirs.nodes, strict=True):
                yield sum(
                    self._first_end(root, node).chips()["row"] for root, node in zip((ours, theirs), nodes, strict=True)
                )

    def _first_end(self, root: Decision, node: Node) -> Hand:
        path: TreePath = ((root, node),)
        while path[-1][1].next:
            decision = path[-1][1].next[0]
            path = (*path, (decision, decision.nodes[0]))
        return self._hand(path)

    def actions(self, episode: Episode) -> dict[str, dict[str, tuple[int, int]]]:
        """seat → information set → (replies that put the chip in, valid replies).

        The players' policies as they were played.
        """
        bold: Counter[tuple[str, str]] = Counter()
        valid: Counter[tuple[str, str]] = Counter()
        for path, decision in episode.decisions():
            hand = self._hand(path) if path else self._opening(decision)
            for seat, replies in decision.replies.items():
                moves = [parse_move(reply.text, WORDS[hand.history]) for reply in replies]
                valid[seat, hand.infoset] += sum(move is not None for move in moves)
                bold[seat, hand.infoset] += sum(move == WORDS[hand.history][1] for move in moves)
        return {
            seat: {infoset: (bold[seat, infoset], n) for (who, infoset), n in valid.items() if who == seat}
            for seat in SEATS
        }

    def _opening(self, root: Decision) -> Hand:
        deal, first, _ = root.turn.tag.split("/")
        return Hand(deal, (first, SEATS[1 - SEATS.index(first)]), "")

    def _metrics(self, episode: Episode, totals: list[float]) -> dict[str, float]:
        """Per seat: chips per hand, invalid replies and the policy played.

        Of the replies the share that is no move; of each information set how often it puts the chip in.
        """
        mean = sum(totals) / (2 * len(totals))
        metrics = {"row/payoff": mean, "col/payoff": -mean}
        for seat, policy in self.actions(episode).items():
            replies = sum(
                len(decision.replies[seat]) for _, decision in episode.decisions() if seat in decision.replies
            )
            metrics[f"{seat}/invalid"] = 1 - sum(n for _, n in policy.values()) / replies if replies else 0.0
            metrics |= {f"{seat}/in/{infoset}": count / n for infoset, (count, n) in policy.items() if n}
        return metrics
