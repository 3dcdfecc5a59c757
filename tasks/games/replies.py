"""From words to moves: the parser of replies, the grammar of moves.

A reply is a move only when it is the move's own name and nothing else, up to case, quotes and closing punctuation.
Anything more ("rock, because …", "not paper", "rock or paper", "rock?") is rejected rather than guessed: a parser
that guesses trains players to be vague and blurs the payoffs measured from them.
"""

import re
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Literal

from league.types import Sampling

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


def check_grammars(constrained: bool) -> list[str]:
    """The problem with `constrained` where no grammar can be held to.

    A line ``key: what is wrong (remedy)``.
    """
    if constrained and find_spec("llguidance") is None:
        return ["constrained: grammars need llguidance (pip install 'llm-league[grammars]', or take the setting out)"]
    return []
