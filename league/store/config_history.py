"""Under which configuration each round was played: the table `meta` keeps those that were changed.

The key `config/000000012` holds the configuration of the rounds up to 12 since the last change; the newest rounds were
played under the one that the run goes by, `config`. Runs whose configuration never changed have no such key.
"""

import sqlite3

from league.store import fs

PREFIX = "config/"


def configs(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    """(last round, YAML) of the configurations that were changed since, oldest first."""
    rows = connection.execute("SELECT key, value FROM meta WHERE key GLOB 'config/[0-9]*' ORDER BY key").fetchall()
    return [(int(key.removeprefix(PREFIX)), str(text)) for key, text in rows if key.removeprefix(PREFIX).isdigit()]


def keep(connection: sqlite3.Connection, latest: int, text: str) -> None:
    """Rounds up to the latest were played under `text`, unless it is known that they were under another."""
    fs.execute(connection, "INSERT OR IGNORE INTO meta (key, value) VALUES (?,?)", (_key(latest), text))


def behind(connection: sqlite3.Connection, latest: int | None) -> bool:
    """Whether a configuration is kept for rounds that are no more."""
    return any(number > (-1 if latest is None else latest) for number, _ in configs(connection))


def fall_back(connection: sqlite3.Connection, latest: int | None) -> None:
    """The run fell back to round `latest`: the configuration of the next kept one counts up to there."""
    lost = [(number, text) for number, text in configs(connection) if number > (-1 if latest is None else latest)]
    for number, _ in lost:
        fs.execute(connection, "DELETE FROM meta WHERE key = ?", (_key(number),))
    if lost and latest is not None:
        keep(connection, latest, lost[0][1])


def _key(number: int) -> str:
    return f"{PREFIX}{number:09d}"
