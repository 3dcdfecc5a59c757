"""Where a run stands: its status, ladder, lineage and agents in order.

Needs no pandas, so that `league status`, `ladder` and `lineage` start at once.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np

from league.config.yaml_values import parse_yaml
from league.reporting.queries.channel_audit import taught_so_far
from league.reporting.queries.replay_cost import replay_cost
from league.reporting.queries.spending import spending
from league.reporting.views import AgentStatus, Estimate, LadderRow, LineageEdge, Status
from league.store.environment import differences
from league.store.reader import RunReader
from league.store.records import Heartbeat
from league.store.warmup_progress import steps_kept
from league.types import BASE, Rating, Version

TIMES_SLOWER, SHORTEST, SLOWEST = 10.0, 120.0, 3600.0
"""A phase is stalled after TIMES_SLOWER times its average, and not before SHORTEST seconds.

Where no average is known, after SLOWEST seconds.
"""
TEACHING = ("delta", "own_share", "delta_logprob", "own_share_logprob")
"""The mean Δ and its part beyond a shuffled explanation; `teaching/` stands before each in its tag."""
CHANGES = 8
"""Changes of settings that are shown."""
RECENT = 500
"""Rounds that are read match by match; a run may have a million matches."""


def status(reader: RunReader) -> Status:
    """Where the run stands, from its last commit and the writer's heartbeat."""
    state = reader.state()
    latest = reader.latest_round()
    rounds = state.get("config", {}).get("league", {}).get("rounds")
    times = reader.round_times()
    ratings = {row.name: row for row in ladder(reader, "overall")}
    live, accuracies = reader.live(), newest_accuracies(reader)
    agents = [
        AgentStatus(
            agent.name,
            agent.role,
            step=agent.version.step,
            games=ratings[agent.name].games if agent.name in ratings else 0,
            rating=_band(ratings.get(agent.name)),
            accuracy=accuracies.get(agent.name),
        )
        for agent in reader.agents()
        if agent.name in live
    ]
    return Status(
        name=reader.folder.resolve().name,
        state=_state_of(reader, latest, rounds),
        round=latest or 0,
        rounds=rounds,
        matches=reader.match_count(),
        versions=len(reader.versions()),
        seconds=sum(seconds for _, seconds, _ in times),
        agents=tuple(agents),
        notes=tuple(state.get("guards", {}).get("raised", ())),
        spending=spending(state) if state else None,
        teaching=newest_teaching(reader),
        taught=taught_so_far(state),
        changes=tuple(changes_of_settings(reader))[-CHANGES:],
        replay=replay_cost(reader),
    )


def changes_of_settings(reader: RunReader) -> Iterator[str]:
    """What was changed in the configuration since the run began, oldest first."""
    earlier = reader.earlier_configs()
    texts = [*(text for _, text in earlier), reader.config_text()]
    for (number, _), (before, after) in zip(earlier, pairwise(texts), strict=True):
        yield from (f"after round {number}: {line}" for line in _in_words(before, after))


def _in_words(before: str, after: str) -> Iterator[str]:
    """What changed from one configuration (YAML) to the next; who joined or left is one line each."""
    old, new = _agents_of(before), _agents_of(after)
    yield from (f"{name} left" for name in old if name not in new)
    yield from (f"{name} joined" for name in new if name not in old)
    moved = tuple(f"agents.{name}." for name in old.keys() ^ new.keys())
    yield from (line for line in differences(before, after) if not line.startswith(moved))


def _agents_of(config: str) -> Mapping[str, object]:
    try:
        data = parse_yaml(config)
    except ValueError:
        return {}
    agents = data.get("agents") if isinstance(data, dict) else None
    return agents if isinstance(agents, dict) else {}


def _state_of(reader: RunReader, latest: int | None, rounds: int | None) -> str:
    beat = reader.heartbeat()
    if beat is not None and beat.alive:
        return _alive(reader, beat, latest)
    if latest is None:
        kept = steps_kept(reader.folder)
        if kept is not None:
            how = "stopped" if beat is not None and beat.phase.startswith("stopped") else "interrupted"
            return f"{how} in round 0: {kept[0]} of {kept[1]} steps of the warm-up are kept"
        return "not started: no round was committed"
    if rounds is not None and latest >= rounds:
        return "finished"
    return (
        "stopped"
        if beat is None or beat.phase.startswith("stopped")
        else f"interrupted ({beat.phase}, round {beat.round})"
    )


def _alive(reader: RunReader, beat: Heartbeat, latest: int | None) -> str:
    """Running, or stalled.

    Stalled: a phase has lasted `TIMES_SLOWER` times longer than it does on average, or an hour where that is not known.
    """
    if beat.phase == "paused":
        return f"paused (round {beat.round})"
    usual = reader.state().get("clock", {}).get(beat.phase)
    usual = None if usual is None or latest is None else usual / (latest + 1)
    patience = SLOWEST if usual is None else max(SHORTEST, TIMES_SLOWER * usual)
    lasting = time.time() - beat.since
    detail = f", {beat.detail}" if beat.detail else ""
    if lasting <= patience:
        return f"running ({beat.phase}{detail}, round {beat.round})"
    known = "" if usual is None else f", which takes {usual:.1f} s on average"
    where = f"'{beat.phase}{detail}' of round {beat.round}"
    return f"stalled? (process {beat.pid} is alive, but has been in {where} for {lasting:.0f} s{known})"


def newest_accuracies(reader: RunReader) -> dict[str, float]:
    """Per agent, its newest held-out accuracy, mean over domains."""
    found: dict[str, dict[str, float]] = {}
    latest = reader.latest_round() or 0
    for number in range(latest, max(-1, latest - RECENT), -1):
        for agent, domain, value in accuracies(reader, number):
            found.setdefault(agent, {}).setdefault(domain, value)
        if found:
            break
    return {agent: float(np.mean(list(values.values()))) for agent, values in found.items()}


def newest_teaching(reader: RunReader) -> dict[str, float]:
    """The mean Δ and the lesson's own share of the newest measurement, by their names in TEACHING."""
    latest = reader.latest_round() or 0
    for number in range(latest, max(-1, latest - RECENT), -1):
        scalars = reader.round_scalars(number)
        if found := {name: scalars[f"teaching/{name}"] for name in TEACHING if f"teaching/{name}" in scalars}:
            return found
    return {}


def accuracies(reader: RunReader, number: int) -> list[tuple[str, str, float]]:
    """(agent, domain, accuracy) measured in one round."""
    parts = [(name.split("/"), value) for name, value in reader.round_scalars(number).items()]
    return [(words[1], words[2], value) for words, value in parts if words[0] == "accuracy" and len(words) == 3]


def _band(row: LadderRow | None) -> Estimate | None:
    return None if row is None else Estimate(row.mu, row.mu - 2 * row.sigma, row.mu + 2 * row.sigma, row.games)


def current_ratings(reader: RunReader, ladder: str | None = None) -> list[Rating]:
    """Per ladder, each member's rating at its newest rated version, best first.

    That is not its live version after an update, which has not played yet.
    """
    members = set(reader.live())
    newest: dict[tuple[str, str], Rating] = {}
    for rating in reader.ratings(ladder):
        key = rating.ladder, rating.version.agent
        if rating.version.agent in members and (key not in newest or rating.version.step > newest[key].version.step):
            newest[key] = rating
    return sorted(newest.values(), key=lambda rating: (rating.ladder, -rating.mu, rating.version))


def ladder(reader: RunReader, name: str | None = None, every: bool = False) -> list[LadderRow]:
    """Ratings of the members, strongest first within each ladder.

    `every`: of all versions, by `name@step`.
    """
    roles = {agent.name: agent.role for agent in reader.agents()}
    rows = []
    for rating in reader.ratings(name) if every else current_ratings(reader, name):
        who = str(rating.version) if every else rating.version.agent
        role = "base" if rating.version == BASE else roles.get(rating.version.agent, "")
        rows.append(LadderRow(rating.ladder, who, role=role, mu=rating.mu, sigma=rating.sigma, games=rating.games))
    return rows


def lineage(reader: RunReader, updates: bool = True) -> list[LineageEdge]:
    """Every version in order of creation.

    Unless `updates`, plain updates only where they are an agent as it is now, something else came from them, or they
    were retired. A chain of updates that is left out becomes one line: an update's parent is always its agent's step
    before.
    """
    rows = reader.versions(lineage=not updates)
    retired = {
        Version(agent, step): number for agent, step, number in reader.state().get("evolution", {}).get("retired", ())
    }
    kept = {row.version: row for row in rows}
    if not updates:
        now = [Version.parse(member["version"]) for member in reader.state().get("population", {}).get("members", ())]
        wanted = dict.fromkeys([*(parent for row in rows for parent in row.parents), *retired, *now])
        kept |= {version: reader.version_row(version) for version in wanted if version not in kept}
        before = _steps_before(kept)
        kept = {
            v: replace(row, parents=before.get(v, ())) if row.reason == "update" else row for v, row in kept.items()
        }
        # a round updates before anything else
        rows = sorted(kept.values(), key=lambda row: (row.round, row.reason != "update"))
    return [
        LineageEdge(
            str(r.version),
            tuple(str(p) for p in r.parents),
            r.round,
            r.reason,
            role=r.role,
            retired=retired.get(r.version),
        )
        for r in rows
    ]


def _steps_before(versions: Iterable[Version]) -> dict[Version, tuple[Version, ...]]:
    """Per version, the newest older one of its agent; the oldest has none."""
    ordered = sorted(versions)
    return {later: (earlier,) for earlier, later in pairwise(ordered) if earlier.agent == later.agent}


def agents_in_order(reader: RunReader) -> list[str]:
    """Agents by creation, the base last: the order that fixes colours."""
    names = dict.fromkeys(row.version.agent for row in reader.versions())
    return [*(name for name in names if name != BASE.agent), BASE.agent]
