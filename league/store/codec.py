"""Compact blocks: JSON under zlib, and (uint16 id, float64) pairs for scalars.

Matches, details, state and figures are JSON.

NaN and infinity are refused here, so nothing non-finite reaches the database. JSON keeps Python floats exactly.
"""

import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np

from league.errors import LeagueError, RunFolderError
from league.store.records import StoredMatch
from league.types import MatchResult, Outcome, Version

SCALAR = np.dtype([("id", "<u2"), ("value", "<f8")])


def pack_json(value: object, what: str) -> bytes:
    """Compressed canonical JSON. `what` names the value in the error for NaN or a type JSON lacks."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    except (ValueError, TypeError) as error:
        raise LeagueError(f"{what} cannot be stored as JSON: {error}") from error
    return zlib.compress(text.encode("utf-8", "backslashreplace"), 9)


def unpack_json(block: bytes, what: str) -> Any:
    try:
        return json.loads(zlib.decompress(block))
    except (zlib.error, ValueError, TypeError, RecursionError) as error:  # TypeError: the database holds no bytes there
        raise RunFolderError(f"{what} is damaged: {error} (run `league verify --repair`)") from error


def pack_scalars(scalars: Mapping[str, float], ids: Mapping[str, int]) -> bytes:
    array = np.empty(len(scalars), SCALAR)
    for index, name in enumerate(sorted(scalars)):
        value = float(scalars[name])
        if not math.isfinite(value):
            raise LeagueError(f"scalar '{name}' is {value}; leave undefined values out")
        array[index] = (ids[name], value)
    return array.tobytes()


def unpack_scalars(block: bytes) -> np.ndarray:
    """Array of dtype SCALAR."""
    return np.frombuffer(block, SCALAR)


def outcome_row(
    outcome: Outcome, version_id: Callable[[Version], int], slot_id: Callable[[Outcome], int]
) -> tuple[float, ...]:
    """Slot, row, column and the sums of an outcome: as a match and the payoffs store it."""
    ids = slot_id(outcome), version_id(outcome.row), version_id(outcome.col)
    return (*ids, outcome.wins, outcome.draws, outcome.losses, outcome.n, outcome.total, outcome.total_sq)


def pack_matches(
    matches: Sequence[MatchResult], version_id: Callable[[Version], int], slot_id: Callable[[Outcome], int]
) -> bytes:
    """The part of a round's matches that is kept for ever."""
    rows = []
    for result in matches:
        match, mix = result.match, result.match.rewards
        rows.append(
            [
                match.id,
                match.task,
                match.purpose,
                match.situation,
                list(astuple(mix)),
                {seat: version_id(version) for seat, version in match.seats.items()},
                result.void,
                [outcome_row(o, version_id, slot_id) for o in result.outcomes],
            ]
        )
    return pack_rows(rows)


def pack_rows(rows: Sequence[Sequence[Any]]) -> bytes:
    """Match rows as columns, which compress a third better: equal things lie side by side."""
    names, task, purpose, situation, rewards, seats, void, outcomes = [
        list(column) for column in zip(*rows, strict=True)
    ] or [[]] * 8
    flat = [outcome for group in outcomes for outcome in group]
    columns = {
        "match": [names, task, purpose, situation, rewards, void],
        "seats": [list(cast) for cast in seats],
        "cast": [version for cast in seats for version in cast.values()],
        "counts": [len(group) for group in outcomes],
        "outcomes": [list(column) for column in zip(*flat, strict=True)],
    }
    return pack_json(columns, "the round's matches")


def unpack_rows(block: bytes, what: str) -> list[list[Any]]:
    """Back to one row per match.

    A row: id, task, purpose, situation, rewards, {seat: version id}, void, outcomes by database ids.
    """
    columns = unpack_json(block, what)
    try:
        cast, flat = iter(columns["cast"]), iter(list(row) for row in zip(*columns["outcomes"], strict=True))
        names, task, purpose, situation, rewards, void = columns["match"]
        seats = [{seat: next(cast) for seat in group} for group in columns["seats"]]
        outcomes = [[next(flat) for _ in range(count)] for count in columns["counts"]]
        return [list(row) for row in zip(names, task, purpose, situation, rewards, seats, void, outcomes, strict=True)]
    except (KeyError, TypeError, ValueError, RuntimeError, StopIteration) as error:
        raise RunFolderError(f"{what} are damaged: {error!r} (run `league verify --repair`)") from error


def pack_details(matches: Sequence[MatchResult]) -> bytes:
    """Seeds, problem keys and metrics, in the order of `pack_matches`."""
    rows = [[r.match.seed, [problem.key for problem in r.match.problems], dict(r.metrics)] for r in matches]
    return pack_json(rows, "the metrics of the round's matches")


def unpack_matches(
    number: int,
    rows: list[list[Any]],
    details: list[list[Any]] | None,
    version: Callable[[int], Version],
    slot: Callable[[int], tuple[Any, str, str, str]],
) -> list[StoredMatch]:
    """Decoded block of round `number` back to matches; `version` and `slot` resolve database ids."""
    matches = []
    for index, (name, task, purpose, situation, rewards, seats, void, outcomes) in enumerate(rows):
        seed, problems, metrics = details[index] if details else (None, None, None)
        matches.append(
            StoredMatch(
                id=name,
                round=number,
                task=task,
                purpose=purpose,
                situation=situation,
                rewards=tuple(rewards),
                seats={seat: version(key) for seat, key in seats.items()},
                void=void,
                outcomes=tuple(
                    Outcome(*slot(key), version(row), version(col), *numbers) for key, row, col, *numbers in outcomes
                ),
                seed=seed,
                problems=tuple(problems) if problems is not None else None,
                metrics=metrics,
            )
        )
    return matches
