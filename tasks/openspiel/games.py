"""Which games of OpenSpiel can be played through text, and their states as values.

A game is named as OpenSpiel names it, with its parameters: "leduc_poker", "liars_dice(numdice=1,dice_sides=4)". Games
in which both move at once are turned into games of turns by OpenSpiel itself: the second player does not see what the
first one chose. Everything else that a match needs must be there, or the game is refused by name: two players, chance
that can be drawn from the match's seed, a text for what a player knows, and few enough actions to list.

Left out on purpose: what a player reads (`tasks/openspiel/text.py`), and what a match is (`tasks/openspiel/task.py`).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import Literal, Protocol, cast

import numpy as np

from league.errors import UserError, nearest
from league.seeds import generator

MOST_ACTIONS = 128
"""Legal actions of one state that a prompt may list."""
MOST_CHARACTERS = 4000
"""Of what a player knows, as OpenSpiel writes it."""
PROBES = 4
"""Random plays that are looked at before a game is accepted."""
PROBE_MOVES = 400
"""Moves of such a play at most."""
Utility = Literal["zero-sum", "identical", "general-sum"]


class State(Protocol):
    """What is used of a state of OpenSpiel. It is never changed here: `child` gives a new one."""

    def is_terminal(self) -> bool: ...
    def is_chance_node(self) -> bool: ...
    def current_player(self) -> int: ...
    def legal_actions(self) -> list[int]: ...
    def chance_outcomes(self) -> list[tuple[int, float]]: ...
    def action_to_string(self, player: int, action: int) -> str: ...
    def information_state_string(self, player: int) -> str: ...
    def observation_string(self, player: int) -> str: ...
    def returns(self) -> list[float]: ...
    def child(self, action: int) -> "State": ...


class Kind(Protocol):
    """What is used of OpenSpiel's description of a game."""

    long_name: str
    short_name: str
    provides_information_state_string: bool
    provides_observation_string: bool
    dynamics: object
    chance_mode: object
    information: object
    utility: object


class Game(Protocol):
    """What is used of a game of OpenSpiel."""

    def get_type(self) -> Kind: ...
    def new_initial_state(self) -> State: ...
    def num_players(self) -> int: ...
    def min_utility(self) -> float: ...
    def max_utility(self) -> float: ...
    def utility_sum(self) -> float | None: ...


def installed() -> bool:
    """Whether OpenSpiel is here."""
    return find_spec("pyspiel") is not None


@lru_cache(maxsize=16)
def load_game(name: str) -> Game:
    """The game of that name, in turns.

    Raises UserError for a name that OpenSpiel does not know or cannot load, and for a game that cannot be played so.
    """
    if not installed():
        raise UserError("games of OpenSpiel need open-spiel (pip install 'llm-league[openspiel]')")
    import pyspiel

    short = name.partition("(")[0].strip()
    if short.startswith("python_") and find_spec("open_spiel.python.games") is not None:
        import open_spiel.python.games  # noqa: F401  (registers the games that are written in Python)
    known = pyspiel.registered_names()
    if short not in known:
        raise UserError(f"OpenSpiel has no game '{short}'{nearest(short, known)}")
    try:
        found = pyspiel.load_game(name)
    except (pyspiel.SpielError, RuntimeError, ValueError, TypeError, LookupError) as error:
        raise UserError(f"OpenSpiel cannot load '{name}': {_first_line(error)}") from error
    if (reason := _refusal(found)) is not None:
        raise UserError(f"'{name}' cannot be played here: {reason}")
    if found.get_type().dynamics == pyspiel.GameType.Dynamics.SIMULTANEOUS:
        found = pyspiel.convert_to_turn_based(found)
    game = cast(Game, found)
    if (reason := _hard_to_read(game, name)) is not None:
        raise UserError(f"'{name}' cannot be played here: {reason}")
    return game


def _refusal(game: object) -> str | None:
    """Why the rules do not fit a match of two, or None."""
    import pyspiel

    found = cast(Game, game)
    kind = pyspiel.GameType
    about = found.get_type()
    if found.num_players() != 2:
        return f"it has {found.num_players()} players, a match has 2 (many games take players=2 in brackets)"
    if about.dynamics == kind.Dynamics.MEAN_FIELD:
        return "it is a mean-field game"
    if about.chance_mode == kind.ChanceMode.SAMPLED_STOCHASTIC:
        return "it draws its chance inside, so a match could not be played again from its seed"
    perfect = about.information == kind.Information.PERFECT_INFORMATION
    if not about.provides_information_state_string and not (perfect and about.provides_observation_string):
        return "OpenSpiel gives no text for what a player knows in it"
    return None


def _hard_to_read(game: Game, name: str) -> str | None:
    """Why its states are too large for a prompt, by some random plays, or None."""
    import pyspiel

    try:
        for play in range(PROBES):
            for state in random_play(game, name, play, most=PROBE_MOVES):
                count = len(state.legal_actions())
                if count > MOST_ACTIONS:
                    return f"one of its states has {count} legal actions, at most {MOST_ACTIONS} can be listed"
                length = len(knowledge(game, state))
                if length > MOST_CHARACTERS:
                    return f"what a player knows takes {length} characters, at most {MOST_CHARACTERS} are shown"
    except pyspiel.SpielError as error:
        return _first_line(error)
    return None


def random_play(game: Game, *address: int | str, most: int) -> list[State]:
    """The states in which somebody acts, along one play of uniform moves.

    `address` names the random stream, `most` is the longest play.
    """
    rng = generator("openspiel", "random play", *address)
    met: list[State] = []
    state, _ = settle(game.new_initial_state(), lambda count: float(rng.random()))
    while not state.is_terminal() and len(met) < most:
        met.append(state)
        actions = state.legal_actions()
        action = actions[int(rng.integers(len(actions)))]
        state, _ = settle(state.child(action), lambda count: float(rng.random()))
    return met


def settle(state: State, chance: Callable[[int], float], drawn: int = 0) -> tuple[State, int]:
    """(The state after all chance that comes now, how often chance was drawn by then).

    `chance(k)` is the uniform number in [0, 1) of the k-th draw; `drawn` draws came before.
    """
    while not state.is_terminal() and state.is_chance_node():
        state = state.child(outcome(state.chance_outcomes(), chance(drawn)))
        drawn += 1
    return state, drawn


def outcome(outcomes: Sequence[tuple[int, float]], uniform: float) -> int:
    """The outcome at a uniform number in [0, 1), by the inverse of the distribution function."""
    ends = np.cumsum([chance for _, chance in outcomes])
    place = int(np.searchsorted(ends, uniform * ends[-1], side="right"))
    return outcomes[min(place, len(outcomes) - 1)][0]


def utility_of(game: Game) -> Utility:
    """Whether one's win is the other's loss, they win together, or neither."""
    import pyspiel

    found = game.get_type().utility
    if found in (pyspiel.GameType.Utility.ZERO_SUM, pyspiel.GameType.Utility.CONSTANT_SUM):
        return "zero-sum"
    return "identical" if found == pyspiel.GameType.Utility.IDENTICAL else "general-sum"


def knowledge(game: Game, state: State) -> str:
    """What the player to act knows, as OpenSpiel writes it.

    In games of perfect information the position as it is seen (a board); in others all that the player has seen, which
    is its information state.
    """
    import pyspiel

    about, player = game.get_type(), state.current_player()
    perfect = about.information == pyspiel.GameType.Information.PERFECT_INFORMATION
    if perfect and about.provides_observation_string:
        return state.observation_string(player)
    return state.information_state_string(player)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
