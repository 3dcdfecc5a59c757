"""A league without a model.

Every round reads what the last one stored and builds on it, so any lost or doubled piece shows.

Adapters and optimizers are read from their blobs and moved, opponents are chosen from the payoff table, ratings
follow from the outcomes, snapshots freeze and retire, and the state carries a random generator. Two runs are equal
only if every piece was.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from league.seeds import derive
from league.store.records import PlayedOutcome, Retention, RoundRecord
from league.store.run import RunStore
from league.types import Match, MatchResult, Outcome, Problem, Rating, Version, VersionRow

CONFIG = "name: scripted\nseed: 1\n"


@dataclass(frozen=True)
class Script:
    """Size of the league."""

    agents: int = 3
    matches: int = 4
    width: int = 8
    snapshot_every: int = 3
    snapshots: int = 2
    transcripts: int = 1
    scalars: int = 2
    retention: Retention = field(
        default_factory=lambda: Retention(payoff_rounds=4, detail_rounds=5, transcript_rounds=4, figure_rounds=3)
    )


def rate(outcomes: Iterable[PlayedOutcome]) -> Iterable[Rating]:
    """An Elo per agent, carried from version to version: small, sequential, and sensitive to order.

    The last one of every version.
    """
    table: dict[str, tuple[float, int]] = {}
    newest: dict[str, Version] = {}
    last: dict[Version, tuple[float, int]] = {}
    for played in outcomes:
        rate_one(table, newest, played.outcome)
        last |= {newest[version.agent]: table[version.agent] for version in (played.outcome.row, played.outcome.col)}
    return [Rating("overall", version, mu, 1.0, games) for version, (mu, games) in last.items()]


def rate_one(table: dict[str, tuple[float, int]], newest: dict[str, Version], outcome: Outcome) -> None:
    (first, n1), (second, n2) = (table.get(version.agent, (25.0, 0)) for version in (outcome.row, outcome.col))
    shift = 0.1 * (outcome.wins - outcome.losses) / (1 + np.exp((first - second) / 4))
    table[outcome.row.agent] = (float(first + shift), n1 + 1)
    table[outcome.col.agent] = (float(second - shift), n2 + 1)
    for version in (outcome.row, outcome.col):
        newest[version.agent] = max(version, newest.get(version.agent, version))


def play_round(store: RunStore, script: Script) -> int:
    """Play and commit the next round; returns its number."""
    latest = store.latest_round()
    number = 0 if latest is None else latest + 1
    state = store.state()
    rng = np.random.Generator(np.random.PCG64(derive(1, "round", number)))
    if latest is not None:
        rng.bit_generator.state = state["rng"]
    live, fresh = _advance(store, script, number, rng)
    live, snapshots = _evolve(store, script, number, live, fresh)
    matches = tuple(
        _match(store, script, number=number, index=index, live=live, rng=rng) for index in range(script.matches)
    )
    elo = {name: (mu, games) for name, (mu, games) in state.get("elo", {}).items()}
    ratings = _ratings(elo, matches)
    record = RoundRecord(
        round=number,
        versions=tuple(fresh) + tuple(snapshots),
        matches=matches,
        ratings=ratings,
        scalars={f"value/{index}": float(rng.normal()) for index in range(script.scalars)}
        | {"clock/x": float(np.random.random())},
        live=live,
        state={
            "rng": rng.bit_generator.state,
            "elo": {name: entry for name, entry in elo.items() if name in live},
            "count": state.get("count", 0) + len(matches),
            "clock": {"x": float(np.random.random())},
        },
        figures={"matrix": [[float(x) for x in rng.normal(size=3)]]},
        seconds=float(np.random.random()),
    )
    store.commit(record)
    store.collect_garbage()
    return number


def _advance(
    store: RunStore, script: Script, number: int, rng: np.random.Generator
) -> tuple[dict[str, Version], list[VersionRow]]:
    """Every trainable agent makes a step from its stored weights and moments."""
    live, fresh = store.live(), []
    names = [f"agent-{index}" for index in range(script.agents)]
    for name in names:
        version = Version(name, number)
        weights, moments, parents = np.zeros(script.width, np.float32), np.zeros(script.width, np.float32), ()
        if name in live:
            row = store.version_row(live[name])
            assert row.blob is not None and row.optimizer is not None
            weights = store.blobs.read_blob(row.blob)[0]["w"]
            moments = store.blobs.read_blob(row.optimizer)[0]["m"]
            parents = (live[name],)
        moments = (0.9 * moments + rng.normal(size=script.width)).astype(np.float32)
        weights = (weights + 0.1 * moments).astype(np.float32)
        blob = store.blobs.write_blob({"w": weights}, {"agent": name, "kind": "adapter"})
        optimizer = store.blobs.write_blob({"m": moments}, {"agent": name, "kind": "optimizer"})
        fresh.append(
            VersionRow(
                version=version,
                role="student",
                round=number,
                blob=blob,
                optimizer=optimizer,
                parents=parents,
                reason="update" if parents else "created",
            )
        )
        live[name] = version
    return live, fresh


def _evolve(
    store: RunStore, script: Script, number: int, live: dict[str, Version], fresh: list[VersionRow]
) -> tuple[dict[str, Version], list[VersionRow]]:
    """Freeze a snapshot now and then, and retire the oldest."""
    snapshots = []
    if number % script.snapshot_every == script.snapshot_every - 1:
        source = fresh[(number // script.snapshot_every) % len(fresh)]
        version = Version(f"past-{number}", 0)
        snapshots.append(
            VersionRow(
                version=version,
                role="past",
                round=number,
                blob=source.blob,
                optimizer=None,
                parents=(source.version,),
                reason="snapshot",
            )
        )
        live[version.agent] = version
        pasts = sorted((agent for agent in live if agent.startswith("past-")), key=lambda name: int(name[5:]))
        for agent in pasts[: -script.snapshots]:
            del live[agent]
    return live, snapshots


def _match(
    store: RunStore, script: Script, *, number: int, index: int, live: dict[str, Version], rng: np.random.Generator
) -> MatchResult:
    """The least-played pairing of one agent, then a coin for each item."""
    row = live[f"agent-{index % script.agents}"]
    cells = store.payoff_row(row, "contest", "duel") if script.agents < 8 else None
    met = (
        {}
        if cells is None
        else dict(zip(map(str, cells.versions), np.bincount(cells.col, minlength=len(cells.versions)), strict=False))
    )
    others = sorted(version for version in live.values() if version != row)
    col = min(others, key=lambda version: (met.get(str(version), 0), rng.random()))
    wins = int(rng.integers(0, 4))
    total, total_sq = (float(rng.normal()), float(rng.random())) if index % 2 else (0.0, 0.0)
    outcome = Outcome(
        relation="contest",
        task="duel",
        situation="default",
        domain="",
        row=row,
        col=col,
        wins=wins,
        draws=0,
        losses=3 - wins,
        n=3,
        total=total,
        total_sq=total_sq,
    )
    problems = tuple(Problem("math", "train", int(rng.integers(1 << 20)), "1+1", "2") for _ in range(2))
    match = Match(
        id=f"r{number}m{index}",
        task="duel",
        round=number,
        seats={"one": row, "two": col},
        problems=problems,
        seed=derive(1, number, index),
    )
    text = {"replies": [f"{rng.integers(1 << 30)} because" for _ in range(10)]} if index < script.transcripts else None
    void = "unreachable" if rng.random() < 0.05 else None
    return MatchResult(match, {"accuracy": wins / 3}, () if void else (outcome,), text, void)


def _ratings(elo: dict[str, tuple[float, int]], matches: tuple[MatchResult, ...]) -> tuple[Rating, ...]:
    """Carry `elo` on by this round's outcomes, in order; the ratings of who played."""
    newest: dict[str, Version] = {}
    for result in matches:
        for outcome in result.outcomes:
            rate_one(elo, newest, outcome)
    return tuple(Rating("overall", version, *_mu_sigma(elo[agent])) for agent, version in newest.items())


def _mu_sigma(entry: tuple[float, int]) -> tuple[float, float, int]:
    return entry[0], 1.0, entry[1]


def run_to(folder: Path, rounds: int, script: Script) -> None:
    """Create or continue a run until round number `rounds - 1` is committed."""
    if (folder / "league.db").exists():
        store = RunStore.open(folder, script.retention)
        store.collect_garbage()
    else:
        store = RunStore.create(folder, CONFIG, script.retention)
    try:
        while (store.latest_round() if store.latest_round() is not None else -1) < rounds - 1:
            play_round(store, script)
    finally:
        store.close()
