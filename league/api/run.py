"""A run, opened to be looked at: its tables, its agents, and SQL.

Everything is read when it is asked for, through a read-only connection that is closed again. So an `OpenRun` is cheap,
may be of a live run, which it never blocks, and always tells what the newest committed round says.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from league.config import Config
from league.errors import UserError, nearest
from league.store.reader import RunReader

if TYPE_CHECKING:
    import pandas as pd

    from league.api.agent import Agent
    from league.api.payoff_tables import By


def open(folder: "str | Path") -> "OpenRun":
    """Open a run folder, live or finished. Raises RunFolderError where it is none."""
    run = OpenRun(Path(folder))
    with run.reader():
        return run


def _no_other_file(action: int, *_: object) -> int:
    """ATTACH and VACUUM INTO would make files beside the run."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


class OpenRun:
    """One run folder. Its methods read and never write; docs/python.md has the columns of every table."""

    def __init__(self, folder: Path):
        self.folder = folder.absolute()

    def __repr__(self) -> str:
        return f"league.open({str(self.folder)!r})"

    @contextmanager
    def reader(self) -> Iterator[RunReader]:
        """The store's own reader, for what no method here answers.

        Raises RunFolderError where there is no run.
        """
        with RunReader.read(self.folder) as reader:
            yield reader

    # --------------------------------------------------------------------------------------------- what it is
    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def round(self) -> int | None:
        """The newest committed round; None before the first."""
        with self.reader() as reader:
            return reader.latest_round()

    @property
    def alive(self) -> bool:
        """Whether a process of this machine is training it."""
        with self.reader() as reader:
            beat = reader.heartbeat()
            return beat is not None and beat.alive

    @cached_property
    def config(self) -> Config:
        """The configuration it goes by, as it was when first asked for."""
        from league.config import parse_config

        with self.reader() as reader:
            return parse_config(reader.config_text(), str(self.folder))

    # ----------------------------------------------------------------------------------------------- its tables
    def matches(self, since: int = 0, until: int | None = None) -> "pd.DataFrame":
        """A row per match of rounds since…until (inclusive)."""
        from league.api import tables

        with self.reader() as reader:
            return tables.matches(reader, since, until)

    def seats(self, since: int = 0, until: int | None = None) -> "pd.DataFrame":
        """A row per seat of each match."""
        from league.api import tables

        with self.reader() as reader:
            return tables.seats(reader, since, until)

    def outcomes(self, since: int = 0, until: int | None = None) -> "pd.DataFrame":
        """A row per outcome that counts for payoffs and ratings."""
        from league.api import tables

        with self.reader() as reader:
            return tables.outcomes(reader, since, until)

    def payoffs(self, task: str | None = None, situation: str | None = None) -> "pd.DataFrame":
        """A row per pair of versions that met, with its sums, its estimate and a 95% interval.

        Raises UserError for a task or a situation without payoffs.
        """
        from league.api.payoff_tables import payoffs

        with self.reader() as reader:
            return payoffs(reader, task, situation)

    def payoff_matrix(self, task: str, situation: str | None = None, by: "By" = "agent") -> "pd.DataFrame":
        """Estimates of one task, a row and a column for each agent or version.

        NaN where a pair has not met.
        Raises UserError for a task or a situation without payoffs.
        """
        from league.api.payoff_tables import payoff_matrix

        if by not in ("agent", "version"):
            raise UserError(f"by is {by!r}{nearest(str(by), ['agent', 'version'])}")
        with self.reader() as reader:
            return payoff_matrix(reader, task, situation, by)

    def ratings(self) -> "pd.DataFrame":
        """A row per ladder and version that was rated."""
        from league.api import tables

        with self.reader() as reader:
            return tables.ratings(reader)

    def scalars(self, *names: str, since: int = 0, until: int | None = None) -> "pd.DataFrame":
        """A row per round and scalar; of the named scalars, or of all. Raises UserError for an unknown name."""
        from league.api import tables

        with self.reader() as reader:
            known = reader.scalar_names()
            for name in names:
                if name not in known:
                    raise UserError(f"scalar '{name}' is not in {self.folder}{nearest(name, known)}")
            return tables.scalars(reader, names, since, until)

    def exams(self) -> "pd.DataFrame":
        """A row per exam of an agent in a domain: its held-out accuracy with a 95% interval."""
        from league.api import tables

        with self.reader() as reader:
            return tables.exams(reader)

    def lineage(self) -> "pd.DataFrame":
        """A row per version: where it came from, and whether its weights are still kept."""
        from league.api import tables

        with self.reader() as reader:
            return tables.all_versions(reader)

    def transcripts(self, since: int = 0, until: int | None = None) -> "pd.DataFrame":
        """A row per reply in the matches whose transcript is kept."""
        from league.api import tables

        with self.reader() as reader:
            return tables.transcripts(reader, since, until)

    def transcript(self, match: str) -> Any:
        """The transcript of one match as plain data. Raises UserError where none is kept."""
        with self.reader() as reader:
            shown = reader.transcript(match)
            if shown is None:
                kept = [name for _, name in reader.transcript_ids()]
                raise UserError(f"match '{match}' has no transcript in {self.folder}{nearest(match, kept)}")
            return shown

    def sql(self, query: str, parameters: "Sequence[object] | Mapping[str, object]" = ()) -> "pd.DataFrame":
        """What a query of the run's database gives. Views end in `_view`; nothing can be written.

        Raises UserError with SQLite's words where the query cannot be run.
        """
        import pandas as pd

        from league.store import schema

        with self.reader() as reader:
            reader.db.execute("PRAGMA query_only = ON")
            reader.db.set_authorizer(_no_other_file)
            try:
                cursor = reader.db.execute(query, parameters)
                rows = cursor.fetchall()
            except (sqlite3.Error, sqlite3.Warning) as error:
                older = schema.user_version(reader.db) < len(schema.MIGRATIONS)
                hint = "; an older version wrote this run, and `league resume` adds the views" if older else ""
                raise UserError(f"{query[:200]}: {error}{hint}") from error
            return pd.DataFrame(rows, columns=[column[0] for column in cursor.description or ()])

    # ----------------------------------------------------------------------------------------------- its agents
    def agent(self, name: str) -> "Agent":
        """`name` is the live version, `name@step` a stored one with its weights, `base` the base model.

        Raises UserError for what is not there.
        """
        from league.api.agent import Agent
        from league.store.named_versions import named_version

        with self.reader() as reader:
            reader.begun()
            return Agent(self.folder, named_version(reader, name))
