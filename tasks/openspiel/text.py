"""What a player of an OpenSpiel game reads, and what its reply means.

A prompt has the rules in a sentence or two, what the player knows (OpenSpiel's own text) and the legal actions by
name. A reply is an action when it is the action's name and nothing else, up to case, spaces, quotes, brackets and
closing punctuation, with or without "Action:" before it; only its first line counts. Two actions of one state that
such a reply could mean make it no action: nothing is guessed.
"""

import json
from collections.abc import Mapping, Sequence

from tasks.openspiel.games import Game, State, knowledge

LEGAL = "Legal actions: "
"""What the line begins with that lists the actions, separated by `BETWEEN`."""
BETWEEN = " | "
ASK = "Answer with one of them, exactly as it is written."
AGAIN = "Your last reply was not a legal action."
_EDGE = " \t\r\n.!\"'`*_"
_DROPPED = str.maketrans("", "", " \t\"'`*_.,;:!()[]{}<>")
_LEADS = ("answer", "action", "move", "i play", "my action", "my move")

RULES: Mapping[str, str] = {
    "kuhn_poker": "Kuhn poker: three cards 0 < 1 < 2, each player holds one and has put in 1 chip. Pass or bet 1; "
    "passing after a bet gives up the pot, betting after a bet calls it. The higher card wins.",
    "leduc_poker": "Leduc poker: six cards 0 to 5, of ranks 0-1, 2-3 and 4-5. Each player holds a private card; a "
    "public card is shown before the second round. A pair with the public card wins, otherwise the higher rank. "
    "Raises are 2 chips in round 1 and 4 in round 2, at most two a round.",
    "tic_tac_toe": "Tic-tac-toe: x moves first; three of one's own in a row, a column or a diagonal win. x(r,c) or "
    "o(r,c) marks row r and column c, counted from 0.",
    "connect_four": "Connect four: x moves first; discs fall to the lowest free place of a column; four of one's own "
    "in a row, a column or a diagonal win.",
    "liars_dice": "Liar's dice: each player rolls dice that only it sees. A bid n-f says that among all dice at least "
    "n show the face f; the highest face is wild. Each bid must be higher than the last, or call the other a Liar.",
}
"""OpenSpiel's name of a game → its rules, in words."""


def labels(state: State) -> dict[int, str]:
    """Action → its name, for the player to act.

    A name that two actions share has the action's number behind it.
    """
    player = state.current_player()
    named = {action: " ".join(state.action_to_string(player, action).split()) for action in state.legal_actions()}
    count: dict[str, int] = {}
    for name in named.values():
        count[name] = count.get(name, 0) + 1
    return {
        action: name if name and count[name] == 1 else f"{name} #{action}".strip() for action, name in named.items()
    }


def prompt(game: Game, state: State, rules: str, again: bool) -> str:
    """What the player to act reads; it depends on nothing that the player does not know."""
    about = game.get_type()
    told = rules or RULES.get(about.short_name, f"The game is {about.long_name}.")
    lines = [
        told,
        f"You are player {state.current_player()} of 0 and 1. What you know:",
        knowledge(game, state).strip(),
    ]
    lines.append(LEGAL + BETWEEN.join(labels(state).values()))
    lines += [AGAIN] if again else []
    return "\n".join([*lines, ASK])


def listed_actions(text: str) -> list[str]:
    """The legal actions that a prompt lists; empty where it lists none."""
    found = [line for line in text.splitlines() if line.startswith(LEGAL)]
    return found[-1].removeprefix(LEGAL).split(BETWEEN) if found else []


def parse_action(reply: str, named: Mapping[int, str]) -> int | None:
    """The action that a reply names, or None when it names none, or could mean several."""
    lines = reply.strip().splitlines()
    if not lines:
        return None
    line = lines[0]
    head, colon, tail = line.partition(":")
    candidates = [line]
    if colon and head.strip(_EDGE).casefold() in _LEADS:
        candidates.append(tail)
    for candidate in candidates:
        for form in (_trimmed, _letters, _folded):
            meant = form(candidate)
            found = [action for action, name in named.items() if meant and form(name) == meant]
            if len(found) == 1:
                return found[0]
            if found:
                return None
    return None


def _trimmed(text: str) -> str:
    return text.strip(_EDGE)


def _letters(text: str) -> str:
    """Without spaces, quotes, brackets and punctuation; capitals count, as in a chess move."""
    return text.translate(_DROPPED)


def _folded(text: str) -> str:
    return _letters(text).casefold()


def action_grammar(names: Sequence[str]) -> str:
    """A Lark grammar (llguidance) whose only sentences are the names."""
    return "start: " + " | ".join(json.dumps(name, ensure_ascii=False) for name in names)
