"""Compact blocks: JSON under zlib for matches, details, state and figures; (uint16 id, float64) pairs for scalars.

NaN and infinity are refused here, so nothing non-finite reaches the database. JSON keeps Python floats exactly.
"""

import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
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
    return zlib.compress(text.encode("utf-8", "backslashreplace"), 6)


def unpack_json(block: bytes, what: str) -> Any:
    try:
        return json.loads(zlib.decompress(block))
    except (zlib.error, ValueError) as error:
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


def pack_matches(matches: Sequence[MatchResult], version_id: Callable[[Version], int], slot_id: Callable[[Outcome], int]) -> bytes:
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
                [mix.individual, mix.team, mix.competitive],
                {seat: version_id(version) for seat, version in match.seats.items()},
                result.void,
                [
                    [slot_id(o), version_id(o.row), version_id(o.col), o.wins, o.draws, o.losses, o.n, o.total, o.total_sq]
                    for o in result.outcomes
                ],
            ]
        )
    return pack_json(rows, "the round's matches")


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
                rewards=(rewards[0], rewards[1], rewards[2]),
                seats={seat: version(key) for seat, key in seats.items()},
                void=void,
                outcomes=tuple(Outcome(*slot(key), version(row), version(col), *numbers) for key, row, col, *numbers in outcomes),
                seed=seed,
                problems=tuple(problems) if problems is not None else None,
                metrics=metrics,
            )
        )
    return matches
