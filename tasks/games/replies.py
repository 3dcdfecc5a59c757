"""From words to moves, and from moves to rewards.

A reply is a move only when it is the move's own name and nothing else, up to case, quotes and closing punctuation.
Anything more ("rock, because …", "not paper", "rock or paper", "rock?") is rejected rather than guessed: a parser
that guesses trains players to be vague and blurs the payoffs measured from them.
"""

import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Literal

from league.types import Match, Message, Outcome, RewardMix, Sampling

Invalid = Literal["loss", "resample"]
_EDGE = " \t\r\n.!\"'`*_()[]"
_BETWEEN = re.compile(r"\s*[,;]\s*|\s+|(?<=\d)-(?=\d)")


def parse_move(text: str, moves: Sequence[str]) -> str | None:
    """The move that `text` names, or None when it names none, several, or says anything besides.

    "Rock.", '"rock"' and "ROCK" are rock; "2,2,1" and "2-2-1" are "2 2 1". "-2 2 1" and "5.0 0" are nothing.
    """
    words = _BETWEEN.sub(" ", text.casefold().strip(_EDGE))
    return words if words in moves else None


def move_grammar(moves: Sequence[str]) -> str:
    """A Lark grammar (llguidance) whose only sentences are the moves."""
    return "start: " + " | ".join(f'"{move}"' for move in moves)


def move_sampling(moves: Sequence[str], temperature: float, max_tokens: int, constrained: bool) -> Sampling:
    """How one move is drawn: a short reply of one line, held to the grammar when `constrained`."""
    return Sampling(
        temperature=temperature,
        max_tokens=max_tokens,
        stop=("\n",),
        grammar=move_grammar(moves) if constrained else None,
    )


def ask(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def mix_rewards(payoffs: Mapping[str, float], mix: RewardMix) -> dict[str, float]:
    """The reward of each seat in a situation: individual·u_i + team·mean(u) + competitive·(u_i −
    mean of the others' u).

    With the default mix this is u_i. In a two-player zero-sum game team adds nothing and competitive doubles u_i.
    """
    mean = sum(payoffs.values()) / len(payoffs)
    others = max(len(payoffs) - 1, 1)
    return {
        seat: mix.individual * own + mix.team * mean + mix.competitive * (own - (sum(payoffs.values()) - own) / others)
        for seat, own in payoffs.items()
    }


def check_common(
    samples: int, temperature: float, max_tokens: int, invalid: str, retries: int, constrained: bool
) -> list[str]:
    """Problems with the settings that every game has, as lines of ``key: what is wrong (remedy)``."""
    problems = []
    if samples < 1:
        problems.append(f"samples: {samples} replies per seat make no group (use 2 or more to train, 1 to play)")
    if temperature < 0:
        problems.append(f"temperature: {temperature} is negative (0 is greedy, 1 the model's own distribution)")
    if max_tokens < 1:
        problems.append(f"max_tokens: {max_tokens} leaves no room for a move (use 4 or more)")
    if invalid not in ("loss", "resample"):
        problems.append(f"invalid: '{invalid}' is unknown (use 'loss' or 'resample')")
    if retries < 0:
        problems.append(f"retries: {retries} is negative (use 0 or more)")
    if constrained and find_spec("llguidance") is None:
        problems.append(
            "constrained: grammars need llguidance (pip install 'llm-league[grammars]', or take the setting out)"
        )
    return problems


def cooperation_outcome(match: Match, task: str, domain: str, seats: Sequence[str], joint: Sequence[float]) -> Outcome:
    """What the versions in two seats earned together, play by play; the smaller version is the row."""
    row, col = sorted(match.seats[seat] for seat in seats)
    total, total_sq = sum(joint), sum(value * value for value in joint)
    return Outcome("cooperation", task, match.situation, domain, row, col, n=len(joint), total=total, total_sq=total_sq)


def contest_outcome(match: Match, task: str, margins: Sequence[float]) -> tuple[Outcome, ...]:
    """The contest of the seats "row" and "col", the smaller version as the row, or nothing when one
    version sits in both.

    margins[i] is what "row" earned in play i less what "col" earned: its sign says who won; half of it goes into the
    total, which is the payoff itself in a zero-sum game.
    """
    first, second = match.seats["row"], match.seats["col"]
    if first == second:
        return ()
    sign = 1 if first < second else -1
    results = [sign * margin for margin in margins]
    outcome = Outcome(
        "contest",
        task,
        match.situation,
        "",
        min(first, second),
        max(first, second),
        wins=sum(result > 0 for result in results),
        draws=sum(result == 0 for result in results),
        losses=sum(result < 0 for result in results),
        n=len(results),
        total=sum(results) / 2,
        total_sq=sum(result * result for result in results) / 4,
    )
    return (outcome,)
