"""How strong members are, read from the payoffs: what evolution decides by. Changes nothing."""

from collections.abc import Callable, Sequence

import numpy as np

from league.payoffs.view import RoundOutcome
from league.population import Member
from league.population.pbt import better, better_by_items
from league.population.tallies import Floats, Games, Items
from league.runtime.league import League, LeagueState
from league.types import EXAM, Relation, Version

Chosen = Callable[[Version], bool]


def task_of(league: League, member: Member) -> str | None:
    """The task by which an agent is judged; None when it plays none.

    It is the config's, else the first that its role plays. Experts are judged as teachers, and not by what they
    practise alone.
    """
    if league.config.evolution.task is not None:
        return league.config.evolution.task
    for name, chosen in league.config.tasks.items():
        teaching = league.tasks[name].relation == "teaching"
        if member.can.specialist and not teaching and league.tasks[name].seat_count == 1:
            continue
        if member.can.specialist if teaching else member.role in chosen.roles:
            return name
    return None


def relation_of(league: League, task: str) -> Relation:
    if task == EXAM:
        return "contest"
    return league.tasks[task].relation


def games(
    state: LeagueState, name: str, opponents: Chosen, played: Sequence[RoundOutcome], since_step: int = 0
) -> Games:
    """Games against the chosen opponents of the agent's versions from `since_step` on.

    Only its present line of weights counts.
    """
    first = max(since_step, state.evolution.since.get(name, 0))
    wins = draws = losses = 0.0
    for one in played:
        if one.row.agent == name and one.row.step >= first and opponents(one.col):
            wins, draws, losses = wins + one.wins, draws + one.draws, losses + one.losses
        elif one.col.agent == name and one.col.step >= first and opponents(one.row):
            wins, draws, losses = wins + one.losses, draws + one.draws, losses + one.wins
    return Games(wins, draws, losses)


def items(state: LeagueState, name: str, relation: Relation, played: Sequence[RoundOutcome]) -> Items:
    """Δ as a teacher, or joint returns on either side, of the agent's present line of weights."""
    first = state.evolution.since.get(name, 0)
    n = total = total_sq = 0.0
    for one in played:
        sides = (one.row,) if relation == "teaching" else (one.row, one.col)
        if any(side.agent == name and side.step >= first for side in sides):
            n, total, total_sq = n + one.n, total + one.total, total_sq + one.total_sq
    return Items(n, total, total_sq)


def who_is_better(
    league: League, state: LeagueState, group: Sequence[Member], *, task: str, since: int, min_games: float
) -> Floats:
    """P[i, j] that member j of the group is better than member i; NaN where unknown.

    Only rounds from `since` on count.
    """
    relation = relation_of(league, task)
    played = state.view.recent(relation, task, since)
    if relation != "contest":
        return better_by_items([items(state, member.name, relation, played) for member in group], min_games)
    place = {member.name: i for i, member in enumerate(group)}
    frozen = set(state.population.frozen())
    columns: dict[str, int] = {}
    abroad: list[tuple[int, int, tuple[float, float, float]]] = []
    between = np.zeros((len(group), len(group), 3))
    for one in played:
        for mine, other, won in (
            (one.row, one.col, (one.wins, one.draws, one.losses)),
            (one.col, one.row, (one.losses, one.draws, one.wins)),
        ):
            if not _counts(state, place, mine) or mine.agent == other.agent:
                continue
            i = place[mine.agent]
            if _counts(state, place, other) and other not in frozen:
                between[i, place[other.agent]] += won
            else:
                label = str(other) if other in frozen else other.agent
                abroad.append((i, columns.setdefault(label, len(columns)), won))
    outside = np.zeros((len(group), 3, len(columns)))
    for i, column, won in abroad:
        outside[i, :, column] += won
    return better(outside[:, 0], outside[:, 1], outside[:, 2], between, min_games)


def _counts(state: LeagueState, place: dict[str, int], version: Version) -> bool:
    """Whether a game of this version belongs to a group member's present line of weights."""
    return version.agent in place and version.step >= state.evolution.since.get(version.agent, 0)
