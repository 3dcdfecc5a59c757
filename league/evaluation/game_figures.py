"""Exact exploitability of versions of a run in a small OpenSpiel game, and of their mixture.

The league's mixture weighs the versions by the maximum-entropy Nash mixture of the payoffs that the run has measured:
a margin is (wins − losses) / (games + 1), which shrinks to 0 what has hardly met. Where a pair has not met at all, all
count alike. Nothing is stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from league.config import Config
from league.errors import UserError, nearest
from league.evaluation.game_policies import PlayedPolicy, played_policy, questions
from league.evaluation.on_demand import load_bank_with
from league.payoffs.nash import max_entropy_nash
from league.population import Population
from league.reporting.queries.payoff_matrices import contest_counts
from league.store.named_versions import named_version
from league.store.reader import RunReader
from league.types import Version
from tasks.openspiel.exact import Exact, evaluate, information_sets, mixture, uniform_policy
from tasks.openspiel.task import OpenSpielGame

if TYPE_CHECKING:
    from tasks import Task


@dataclass(frozen=True)
class GameFigures:
    """Exact figures of a game: each version's, the uniform player's, and the mixture's."""

    task: str
    game: str
    sets: int
    """Information sets."""
    asked: int
    """Different questions."""
    rows: tuple[tuple[PlayedPolicy, Exact], ...]
    uniform: Exact
    weights: Mapping[Version, float]
    mixture: Exact
    measured: bool
    """Whether the weights come from payoffs; else all count alike."""


def game_figures(run: Path, names: Sequence[str], *, task: str | None, samples: int, most: int) -> GameFigures:
    """Exploitability of versions of a run in one of its OpenSpiel games, and of their mixture.

    `names` are agents or versions, by default all live agents that may play the game. `samples` are drawn where a
    policy cannot be stated or read off. Raises UserError for unknown names and for games that are too large, before a
    model is loaded.
    """
    from league.preflight.checks import prepare
    from league.rollouts import Player
    from league.runtime.assembly import backend_for, read_config
    from league.runtime.league import players_of

    with RunReader.read(run) as reader:
        population = Population.from_json(reader.begun()["population"])
        config = read_config(run)
        chosen = _task_of(config, task)
        versions = list(dict.fromkeys(named_version(reader, name) for name in names)) or _live(
            reader, config, population, chosen
        )
        prepared = prepare(config, new_run=False, speakers={version.agent for version in versions})
        rules = _rules(prepared.tasks[chosen])
        sets = information_sets(rules)
        asked = questions(rules, sets)
        if (count := len(set(asked.values()))) > most:
            raise UserError(
                f"{rules.game} asks {count:,} different questions, at most {most:,} (--questions allows more)"
            )
        margins = _margins(reader, chosen, versions)
        bank = load_bank_with(reader, prepared, versions)
    backend, players = backend_for(prepared, bank), players_of(population)
    played = [
        played_policy(
            version,
            asked,
            agent=config.agents.get(version.agent),
            player=players.get(version.agent, Player()),
            bank=bank,
            backend=backend,
            samples=samples,
        )
        for version in versions
    ]
    even = np.full(len(versions), 1 / len(versions))
    weights = even if margins is None else max_entropy_nash(margins)
    return GameFigures(
        task=chosen,
        game=rules.game,
        sets=len(sets),
        asked=count,
        rows=tuple((each, evaluate(rules, each.policy)) for each in played),
        uniform=evaluate(rules, uniform_policy(sets)),
        weights={version: float(weight) for version, weight in zip(versions, weights, strict=True)},
        mixture=evaluate(rules, mixture(sets, [each.policy for each in played], [float(w) for w in weights])),
        measured=margins is not None,
    )


def _task_of(config: Config, name: str | None) -> str:
    """The OpenSpiel task of that name, or the run's only one."""
    games = [each for each, task in config.tasks.items() if task.kind == "openspiel"]
    if not games:
        raise UserError(f"{config.folder} has no task of kind 'openspiel': there is no game to look at exactly")
    if name is None and len(games) > 1:
        raise UserError(f"{config.folder} has several games ({', '.join(games)}); choose one with --task")
    if name is not None and name not in games:
        raise UserError(f"'{name}' is no OpenSpiel task of {config.folder}{nearest(name, games)}")
    return name or games[0]


def _rules(task: "Task") -> OpenSpielGame:
    if not isinstance(task, OpenSpielGame):
        raise UserError(f"task '{task.name}' is no game of OpenSpiel")
    return task


def _live(reader: RunReader, config: Config, population: Population, task: str) -> list[Version]:
    """The live agents that may play the task."""
    chosen = config.tasks[task]
    seated = {agent for named in chosen.seats.values() for agent in named}
    found = [
        version
        for name, version in reader.live().items()
        if (name in seated if seated else population.members[name].role in chosen.roles)
    ]
    if not found:
        raise UserError(f"no live agent of {config.folder} plays '{task}'; name agents or versions")
    return found


def _margins(reader: RunReader, task: str, versions: Sequence[Version]) -> np.ndarray | None:
    """Antisymmetric margins between the versions (N, N).

    None where a pair has not met, or nothing was a contest.

    A live version stands for all versions of its agent.
    """
    live = reader.live()
    named = {version: version.agent if live.get(version.agent) == version else str(version) for version in versions}
    cells = reader.payoffs("contest", task)

    def label(version: Version) -> str | None:
        if version in named:
            return named[version]
        return version.agent if version.agent in named.values() else None

    names, wins_NN, draws_NN = contest_counts(cells, label)
    if not set(named.values()) <= set(names):
        return None
    order = [names.index(named[version]) for version in versions]
    wins_NN, draws_NN = wins_NN[np.ix_(order, order)], draws_NN[np.ix_(order, order)]
    games_NN = wins_NN + wins_NN.T + draws_NN
    if (games_NN[np.triu_indices(len(versions), 1)] == 0).any():
        return None
    margin_NN = (wins_NN - wins_NN.T) / (games_NN + 1)
    return np.asarray(margin_NN)
