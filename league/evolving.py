"""How the population changes at the end of a round."""

from league.assembly import League
from league.round import Round
from league.types import Version


def evolve(league: League, now: Round) -> None:
    """Frozen snapshots every k rounds."""
    if now.number % league.config.league.snapshot_every == 0:
        for name in sorted(league.population.trainable()):
            snapshot(league, now, name)


def snapshot(league: League, now: Round, name: str) -> None:
    """Freeze the live version and let the agent go on, with the same weights and optimizer, as the next step."""
    frozen, bank = league.population.members[name].version, league.weights()
    successor = Version(name, frozen.step + 1)
    bank.clone(frozen, successor, trainable=True)
    bank.freeze(frozen)
    league.population, gone = league.population.snapshot(name, frozen, successor, league.config.league.snapshots_kept)
    if league.guards.good.get(name) == frozen:
        league.guards.good[name] = successor
    for version in gone:
        bank.drop(version)
    now.came(league, successor, (frozen,), "snapshot")
