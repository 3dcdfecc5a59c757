"""Cross-play: do partners only understand those they were trained with?

Every first player meets every second player on held-out problems. A team is a cooperation task of a run: the agents
that its config names for its seats (or, where none is named, everybody who plays it). Players of one team have
trained together, players of different teams (other tasks, other runs) have not. All pairings answer the same test
problems from the same random streams, greedily, so what differs between two cells is the partner:

    gap = mean over pairings trained together − mean over pairings trained apart

A gap of 0 means that what was learned is no private language. Its interval is a bootstrap over problems (the pairings
are all there are). Nothing is stored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from league.errors import UserError, nearest
from league.payoffs.matrix import FloatArray
from league.population import Population
from league.reporting.queries.estimates import as_arrays
from league.reporting.views import Estimate, Matrix
from league.seeds import derive, generator
from league.store.reader import RunReader
from league.types import ROLES, Version

if TYPE_CHECKING:
    from league.model.bank import AdapterBank
    from league.preflight.checks import Prepared
    from league.rollouts import Player
    from tasks import Task

REPLICATES = 2000


@dataclass(frozen=True)
class Seated:
    """A player in cross-play: its label, the team it trained in, its version under a name of its own."""

    label: str
    team: str
    version: Version


@dataclass(frozen=True)
class CrossPlay:
    """returns[r, c, i]: normalised joint return of row player r with column player c on problem i.

    NaN where grading failed.
    """

    task: str
    rows: tuple[Seated, ...]
    cols: tuple[Seated, ...]
    returns: FloatArray

    @property
    def together(self) -> FloatArray:
        """(R, C) of 1 where the two trained in one team, else 0."""
        return np.array([[float(row.team == col.team) for col in self.cols] for row in self.rows])

    def gap(self) -> tuple[Estimate | None, Estimate | None, Estimate | None]:
        """(together, apart, together − apart) with bootstrap intervals; None without such a pairing."""
        same = self.together > 0
        means = [np.nanmean(self.returns[chosen], axis=0) if chosen.any() else None for chosen in (same, ~same)]
        both = means[0] - means[1] if means[0] is not None and means[1] is not None else None
        together, apart, gap = (_bootstrap(values) for values in (*means, both))
        return together, apart, gap

    def matrix(self) -> Matrix:
        """Mean return per pairing with its interval, for tables and figures."""
        estimates = [[_bootstrap(self.returns[r, c]) for c in range(len(self.cols))] for r in range(len(self.rows))]
        values, low, high, counts = as_arrays(estimates)
        rows, cols = (tuple(player.label for player in players) for players in (self.rows, self.cols))
        return Matrix(
            f"Cross-play: {self.task}",
            "mean return, 0 to 1",
            rows=rows,
            cols=cols,
            values=values,
            scale="share",
            low=low,
            high=high,
            n=counts,
            row_axis="first seat",
            col_axis="second seat",
        )


def _bootstrap(values: FloatArray | None) -> Estimate | None:
    """Mean over problems with the 2.5% and 97.5% points of its resampled means.

    No interval for a single problem.
    """
    if values is None or np.isnan(values).all():
        return None
    found = values[~np.isnan(values)]
    draws = generator(0, "cross-play", len(found)).integers(len(found), size=(REPLICATES, len(found)))
    low, high = np.quantile(found[draws].mean(axis=1), (0.025, 0.975))
    if len(found) == 1:
        return Estimate(float(found[0]), n=1)
    return Estimate(float(found.mean()), float(low), float(high), len(found))


@dataclass(frozen=True)
class _Team:
    """A cooperation task of a run, and who plays it."""

    name: str
    run: Path
    prepared: "Prepared"
    rules: "Task"
    seats: dict[str, list[str]]
    prefix: str
    """Labels of its players begin so: empty where one run is looked at."""

    def seated(self, number: int, bank: "AdapterBank | None", players: "dict[str, Player]") -> dict[str, list[Seated]]:
        """Its players by seat, their live adapters in the bank under names that cannot clash.

        Their instructions go into `players`.
        """
        from league.runtime.checkpoint import load_adapter
        from league.runtime.league import players_of

        found: dict[str, Seated] = {}
        with RunReader.read(self.run) as reader:
            brought, live = players_of(Population.from_json(reader.state()["population"])), reader.live()
            for agent in dict.fromkeys(agent for named in self.seats.values() for agent in named):
                row = reader.version_row(live[agent])
                weights = ROLES[row.role].has_weights
                version = Version(f"{number}-{agent}"[:64], live[agent].step) if weights else row.version
                if bank is not None and weights:
                    load_adapter(reader, bank, replace(row, version=version), trainable=False)
                players[version.agent] = brought[agent]
                found[agent] = Seated(self.prefix + agent, self.name, version)
        return {seat: [found[agent] for agent in named] for seat, named in self.seats.items()}


def cross_play(runs: Sequence[Path], names: Sequence[str], problems: int) -> CrossPlay:
    """Play every pairing. `names` are tasks of the runs; none means every cooperation task.

    Raises UserError when they do not go together.
    """
    from league.rollouts import make_match, play
    from league.runtime.assembly import backend_for, load_bank, with_base_fluency

    teams = [team for run in dict.fromkeys(runs) for team in _teams(run, names, len(runs) > 1)]
    rules, prepared = teams[0].rules, teams[0].prepared
    for team in teams:
        if replace(team.rules, name=rules.name) != rules:
            raise UserError(
                f"the rules of {team.name} are not those of {teams[0].name}: their returns cannot be compared "
                "(--task chooses)"
            )
    bank = load_bank(prepared)
    players: dict[str, Player] = {}
    seated = [team.seated(number, bank, players) for number, team in enumerate(teams)]
    first, second, *further = rules.seats()
    rows, cols = ({player.version: player for team in seated for player in team[seat]} for seat in (first, second))
    others = {team[first][0].team: {seat: team[seat][0].version for seat in further} for team in seated}
    task = with_base_fluency(rules, bank)
    places = list(product(range(len(rows)), range(len(cols)), range(problems)))
    row_players, col_players = list(rows.values()), list(cols.values())
    matches = [
        make_match(
            task.name,
            at=(0, "cross-play", r, c, i),
            seats={first: row_players[r].version, second: col_players[c].version} | others[row_players[r].team],
            problems=task.problems("test", i, ""),
            seed=derive("cross-play", i),
            purpose="evaluate",
        )
        for r, c, i in places
    ]
    returns = np.full((len(rows), len(cols), problems), np.nan)
    episodes = play(matches, {task.name: task}, backend_for(prepared, bank), players)
    for place, episode in zip(places, episodes, strict=True):
        if episode.void is None:
            returns[place] = task.score(episode).metrics.get("return", np.nan)
    return CrossPlay(task.name, tuple(rows.values()), tuple(cols.values()), returns)


def _teams(run: Path, names: Sequence[str], several: bool) -> Iterator[_Team]:
    """The run's teams.

    Raises UserError for an unknown task, one without partners, and scripted agents in more than one run.
    """
    from league.preflight.checks import prepare
    from league.runtime.assembly import read_config

    with RunReader.read(run) as reader:
        roles = {version.agent: reader.version_row(version).role for version in reader.live().values()}
    config = read_config(run)
    prepared = prepare(config, new_run=False)
    pairs = {
        name: task for name, task in prepared.tasks.items() if task.relation == "cooperation" and len(task.seats()) > 1
    }
    for name in names:
        if name not in pairs:
            raise UserError(f"'{name}' is no cooperation task for two in {run}{nearest(name, list(pairs))}")
    if not pairs:
        raise UserError(
            f"{run} has no cooperation task for two players (kinds writing and coding): nobody to play with"
        )
    if several and not all(ROLES[role].has_weights for role in roles.values()):
        raise UserError(
            f"{run} has scripted or remote agents, who speak for their own run only: look at one such run at a time"
        )
    for name in names or pairs:
        chosen = config.tasks[name]
        seats = {
            seat: list(chosen.seats.get(seat, [agent for agent, role in roles.items() if role in chosen.roles]))
            for seat in pairs[name].seats()
        }
        yield _Team(
            name=f"{run}/{name}",
            run=run,
            prepared=prepared,
            rules=pairs[name],
            seats=seats,
            prefix=f"{run.name}/" if several else "",
        )
