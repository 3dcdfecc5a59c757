"""Matrix games played through text: one move per round, both players at once.

The rules are a payoff matrix and two sentences (`tasks/games/normal_form.py`), the parser takes a move's name and
nothing else (`tasks/games/replies.py`). There is no hidden information and no chance, so a match needs no problems
and draws nothing; all its randomness is the players' sampling. Kuhn poker, which has both, is in
`tasks/games/kuhn_poker.py`.

Outcomes count independent plays only. `cross` scores all G×G pairings of the replies, which is what learning wants,
but they share G + G draws; counting them as G² games would fake evidence. So the j-th reply of one seat meets the
j-th of the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from league.errors import nearest
from league.seeds import generator
from league.types import Decision, Episode, JointMode, Match, Outcome, Problem, Score, Split, TreePath, Turn
from tasks.games.normal_form import FORMS, NormalForm
from tasks.games.replies import Invalid, check_grammars, move_sampling, parse_move
from tasks.outcomes import contest_outcome, cooperation_outcome
from tasks.rewards import mix_rewards
from tasks.task import Demonstration, Task, user_prompt

SEATS = ("row", "col")
AGAIN = "again"
Moves = dict[str, str | None]


@dataclass(frozen=True)
class MatrixGame(Task):
    """A normal-form game over `rounds` rounds; each player sees both players' earlier moves.

    Rewards are the game's payoffs round by round, combined by the match's reward mix. A reply that is no move either
    forfeits the round (`invalid="loss"`) or is asked for again up to `retries` times ("resample") and forfeits only
    then.
    """

    game: str = "rock-paper-scissors"
    samples: Annotated[int, Field(ge=1)] = 8
    """Replies per seat in the first round: the group."""
    rounds: Annotated[int, Field(ge=1)] = 1
    branch: Annotated[int, Field(ge=1)] = 2
    """Replies per seat in later rounds, after each joint move."""
    joint: JointMode = "cross"
    invalid: Invalid = "loss"
    retries: Annotated[int, Field(ge=0)] = 1
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """0 is greedy, 1 the model's own distribution."""
    max_tokens: Annotated[int, Field(ge=1)] = 8
    constrained: bool = False
    """Hold replies to the moves by a grammar; needs a backend that knows grammars."""

    @property
    def relation(self) -> Literal["contest", "cooperation"]:
        return self.form.relation

    @property
    def form(self) -> NormalForm:
        return FORMS[self.game]

    def seats(self) -> tuple[str, ...]:
        return SEATS

    def check(self) -> list[str]:
        problems = check_grammars(self.constrained)
        if self.game not in FORMS:
            problems.append(f"game: '{self.game}' is unknown{nearest(self.game, list(FORMS))}")
        return problems

    def problems(self, split: Split, index: int, domain: str) -> tuple[Problem, ...]:
        """None: the players' choices are all there is."""
        return ()

    def demonstrations(self, count: int, seed: int, seats: Sequence[str]) -> list[Demonstration]:
        """(prompt, move) pairs to learn the format from, not the play.

        Every move alike, after histories drawn alike, from the `seats` in turn.
        """
        rng = generator(seed, "demonstrations", self.game)
        found = []
        for place in range(count):
            rounds = int(rng.integers(self.rounds))
            played: list[Moves] = [
                {seat: self.form.moves[int(rng.integers(len(self.form.moves)))] for seat in SEATS}
                for _ in range(rounds)
            ]
            found.append(
                (
                    user_prompt(self.prompt(played, seats[place // len(self.form.moves) % len(seats)])),
                    self.form.moves[place % len(self.form.moves)],
                )
            )
        return found

    # --------------------------------------------------------------------------------------------- playing
    def open(self, match: Match) -> Sequence[Turn]:
        return [self._turn([], list(SEATS), self.samples, "round 1")]

    def follow(self, match: Match, path: TreePath) -> Sequence[Turn]:
        played = self._rounds(path)
        late = [seat for seat, move in played[-1].items() if move is None]
        if late and self.invalid == "resample" and self._asked_again(path) < self.retries:
            return [self._turn(played[:-1], late, 1, AGAIN)]
        if len(played) < self.rounds:
            return [self._turn(played, list(SEATS), self.branch, f"round {len(played) + 1}")]
        return []

    def _turn(self, played: list[Moves], seats: list[str], samples: int, tag: str) -> Turn:
        sampling = move_sampling(self.form.moves, self.temperature, self.max_tokens, self.constrained)
        prompts = {seat: user_prompt(self.prompt(played, seat, again=tag == AGAIN)) for seat in seats}
        return Turn(tag, prompts, samples, dict.fromkeys(seats, sampling), joint=self.joint)

    def prompt(self, played: list[Moves], seat: str, again: bool = False) -> str:
        """What `seat` is asked after the rounds in `played`.

        Both seats read the same words in the first round.
        """
        other = SEATS[1 - SEATS.index(seat)]
        lines = [self.form.rules]
        if self.rounds > 1:
            lines.append(f"Round {len(played) + 1} of {self.rounds}.")
        lines += [
            f"Round {i}: you {mine[seat] or 'nothing'}, other {mine[other] or 'nothing'}."
            for i, mine in enumerate(played, 1)
        ]
        if again:
            lines.append("Your last reply was not a move.")
        if len(self.form.moves) > 6:
            lines.append(f"Answer only with the numbers, like {self.form.moves[-1]}.")
        else:
            lines.append(f"Answer with one word: {', '.join(self.form.moves[:-1])} or {self.form.moves[-1]}.")
        return " ".join(lines)

    def _rounds(self, path: TreePath) -> list[Moves]:
        """The moves of each round along `path`.

        A repeated question overwrites the forfeit it was asked for.
        """
        rounds: list[Moves] = []
        for decision, node in path:
            moves: Moves = {seat: parse_move(text, self.form.moves) for seat, text in decision.texts(node).items()}
            if decision.turn.tag == AGAIN:
                rounds[-1] = rounds[-1] | moves
            else:
                rounds.append(moves)
        return rounds

    def _asked_again(self, path: TreePath) -> int:
        """How many times the current round has been asked again."""
        count = 0
        for decision, _ in reversed(path):
            if decision.turn.tag != AGAIN:
                break
            count += 1
        return count

    # --------------------------------------------------------------------------------------------- scoring
    def score(self, episode: Episode) -> Score:
        rewards: dict[int, dict[str, float]] = {}
        for path, decision in episode.decisions():
            for node in decision.nodes:
                moves = self._rounds((*path, (decision, node)))[-1]
                asked_again = any(child.turn.tag == AGAIN for child in node.next)
                payoffs = dict.fromkeys(SEATS, 0.0) if asked_again else self._pay(moves)
                rewards[node.id] = mix_rewards(payoffs, episode.match.rewards)
        plays = [play for root in episode.roots for play in self._plays(root)]
        return Score(rewards, self._metrics(episode, plays), self._outcomes(episode.match, plays))

    def _pay(self, moves: Moves) -> dict[str, float]:
        row, col = moves["row"], moves["col"]
        return {"row": self.form.pays(row, col), "col": self.form.pays(col, row)}

    def _plays(self, root: Decision) -> Iterator[tuple[float, float]]:
        """Total payoffs (row, col) of one independent play per aligned pair of first replies.

        Always the first continuation.
        """
        for node in root.nodes:
            if node.picks["row"] != node.picks["col"]:
                continue
            path: TreePath = ((root, node),)
            while path[-1][1].next:
                decision = path[-1][1].next[0]
                path = (*path, (decision, decision.nodes[0]))
            pays = [self._pay(moves) for moves in self._rounds(path)]
            yield sum(pay["row"] for pay in pays), sum(pay["col"] for pay in pays)

    def _outcomes(self, match: Match, plays: list[tuple[float, float]]) -> tuple[Outcome, ...]:
        if self.form.relation == "contest":
            return contest_outcome(match, self.name, [a - b for a, b in plays])
        return (cooperation_outcome(match, self.name, "", SEATS, [a + b for a, b in plays]),)

    def _metrics(self, episode: Episode, plays: list[tuple[float, float]]) -> dict[str, float]:
        """Per seat: mean payoff of a play, invalid first replies and the mixture of moves.

        The mixture is that of the first round over valid moves.
        """
        metrics = {"joint_return": sum(a + b for a, b in plays) / len(plays)}
        for index, seat in enumerate(SEATS):
            replies = [reply.text for root in episode.roots for reply in root.replies[seat]]
            moves = [parse_move(text, self.form.moves) for text in replies]
            valid = [move for move in moves if move is not None]
            metrics[f"{seat}/payoff"] = sum(play[index] for play in plays) / len(plays)
            metrics[f"{seat}/invalid"] = 1 - len(valid) / len(moves)
            if valid:
                metrics |= {f"{seat}/{move}": valid.count(move) / len(valid) for move in self.form.moves}
        return metrics
