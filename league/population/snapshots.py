"""When to freeze an agent: when it is surely better than its frozen past, or its time is up.

A past that is surely beaten is worth keeping apart from the present: it is a different opponent. A past that is not
is a copy with noise, and each copy costs matches for ever. The bound is one-sided and posterior; looking every round
makes early snapshots more frequent than 1 − confidence suggests, which costs a snapshot and nothing else. Failure
case: against a cyclic past an agent never surely wins, and only the time-out freezes it.
"""

from league.config import ExploitersConfig, SnapshotsConfig
from league.population.tallies import Games, Items, gain_bound

PROGRESS, TIMEOUT = "progress", "time-out"


def beats_its_past(games: Games, rule: SnapshotsConfig | ExploitersConfig) -> bool:
    """Whether the win rate against the past is surely above the rule's.

    By its lower bound; for exploiters against the targets.
    """
    return games.count >= rule.min_games and games.lower_bound(rule.confidence) > rule.win_rate


def does_better_than_before(before: Items, after: Items, rule: SnapshotsConfig) -> bool:
    """Whether Δ, or the joint return, has surely grown by the rule's gain since the period before."""
    return min(before.n, after.n) >= rule.min_games and gain_bound(before, after, rule.confidence) > rule.gain
