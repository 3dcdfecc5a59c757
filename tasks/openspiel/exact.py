"""What is known exactly of a small OpenSpiel game: information sets, NashConv, mixtures.

A policy gives, for each information set (OpenSpiel's information state string), a distribution over its actions; one
policy plays both positions.

    NashConv(π) = Σ_p max_π' u_p(π', π_-p) − u_p(π)        exploitability = NashConv / 2

(Lanctot et al., "A unified game-theoretic approach to multiagent RL", 2017.) Both are 0 exactly at equilibrium, for
general-sum games too. The best responses are OpenSpiel's own, over the whole tree. A mixture of policies draws one of
them before each game; the policy that plays the same weighs each information set by each policy's own reach of it
(Kuhn's theorem; averaging probabilities without it is another player). That needs perfect recall.

What this leaves out: forfeits and games that are broken off. A policy is what is played *given* a legal reply.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from league.errors import UserError
from league.types import Message
from tasks.openspiel.games import State
from tasks.openspiel.task import OpenSpielGame
from tasks.openspiel.text import labels

Policy = Mapping[str, Mapping[int, float]]
"""Information set → action → probability."""
MOST_HISTORIES = 1_000_000
"""Histories of a game that is looked at exactly; tic-tac-toe has 549,946, Leduc poker 9,457."""


@dataclass(frozen=True)
class InformationSet:
    """All that a player can know at one of its decisions."""

    key: str
    player: int
    prompt: tuple[Message, ...]
    """What the player reads there."""
    names: Mapping[int, str]
    """Action → its name."""
    before: tuple[str, int] | None
    """The player's last information set and what it did there; None at its first decision."""


@dataclass(frozen=True)
class Exact:
    """What a policy is worth when it plays both positions, in the game's own units."""

    value: float
    """Expected return of player 0."""
    nash_conv: float

    @property
    def exploitability(self) -> float:
        """What a best response gains, mean over both positions."""
        return self.nash_conv / 2


def information_sets(task: OpenSpielGame, most: int = MOST_HISTORIES) -> dict[str, InformationSet]:
    """Every information set of the task's game by key, a player's earlier ones first.

    Raises UserError for a game with more than `most` histories, one without information states, and one whose players
    forget.
    """
    game = task.rules_of_play
    if not game.get_type().provides_information_state_string:
        raise UserError(f"{task.game}: OpenSpiel gives no information states, so its exploitability cannot be computed")
    found: dict[str, InformationSet] = {}
    stack: list[tuple[State, tuple[tuple[str, int] | None, tuple[str, int] | None]]]
    stack, seen = [(game.new_initial_state(), (None, None))], 0
    while stack:
        state, last = stack.pop()
        seen += 1
        if seen > most:
            raise UserError(f"{task.game} has more than {most:,} histories: too large for an exact figure")
        if state.is_terminal():
            continue
        if state.is_chance_node():
            stack += [(state.child(action), last) for action, chance in state.chance_outcomes() if chance > 0]
            continue
        player = state.current_player()
        key = state.information_state_string(player)
        if key not in found:
            found[key] = InformationSet(key, player, task.read(state, again=False), labels(state), last[player])
        elif found[key].before != last[player]:
            raise UserError(f"{task.game}: a player forgets what it did, so its mixtures have no policy of their own")
        for action in state.legal_actions():
            done = (key, action)
            stack.append((state.child(action), (done, last[1]) if player == 0 else (last[0], done)))
    return found


def evaluate(task: OpenSpielGame, policy: Policy) -> Exact:
    """Value and NashConv of a policy that plays both positions."""
    import pyspiel

    game = task.rules_of_play
    table = pyspiel.TabularPolicy({key: [(a, float(p)) for a, p in chances.items()] for key, chances in policy.items()})
    value = pyspiel.expected_returns(game.new_initial_state(), table, -1, True)[0]
    return Exact(float(value), max(0.0, float(pyspiel.nash_conv(game, table))))


def uniform_policy(sets: Mapping[str, InformationSet]) -> Policy:
    """Every legal action alike."""
    return {key: dict.fromkeys(each.names, 1 / len(each.names)) for key, each in sets.items()}


def mixture(sets: Mapping[str, InformationSet], policies: Sequence[Policy], weights: Sequence[float]) -> Policy:
    """The policy of a player that draws one of the policies before each game.

    Information sets that no policy reaches keep the plain mean. `sets` has a player's earlier sets first.
    """
    reach: dict[str, list[float]] = {}
    mixed: dict[str, dict[int, float]] = {}
    for key, each in sets.items():
        if each.before is None:
            reach[key] = [1.0] * len(policies)
        else:
            before, action = each.before
            reach[key] = [r * policy[before][action] for r, policy in zip(reach[before], policies, strict=True)]
        shares = [weight * r for weight, r in zip(weights, reach[key], strict=True)]
        if sum(shares) <= 0:
            shares = list(weights)
        total = sum(shares)
        mixed[key] = {
            action: sum(share * policy[key][action] for share, policy in zip(shares, policies, strict=True)) / total
            for action in each.names
        }
    return mixed
