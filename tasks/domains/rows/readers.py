"""Rows of a data file: one after the other, or one by its place, with flat memory.

A row of JSON lines or CSV is found again by its offset and length in bytes. Parquet has no such places: its rows are
read once, by batches, into JSON lines in the cache (only the columns that are needed), and found there. A row that
cannot be read comes as text that says why, so that its reader can count such rows and name the first.
"""

import csv
import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from league.errors import DataError

LONGEST_ROW = 1 << 20
"""Bytes. A longer row is no question that a model could read."""
FIRST_ROWS = 20
"""Rows looked at to see which columns there are."""
Row = dict[str, Any]


@dataclass(frozen=True)
class PlacedRow:
    """A row with its number (from 1; a header counts as none) and its place in bytes."""

    number: int
    offset: int
    length: int
    row: Row | str
    """The row, or why it cannot be read."""


class RowFile:
    """One open file of rows in text form."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self._file = open(path, "rb")
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}") from error

    def rows(self) -> Iterator[PlacedRow]:
        """All rows in their order; empty lines are none."""
        raise NotImplementedError

    def parse(self, raw: bytes) -> Row | str:
        """The row that stands in these bytes, or why there is none."""
        raise NotImplementedError

    def row_at(self, offset: int, length: int) -> Row:
        """The row at a place that `rows` gave. Raises DataError where it is not there any more."""
        found = self.parse(os.pread(self._file.fileno(), length, offset))
        if isinstance(found, str):
            raise DataError(f"{self.path}: the file was changed while it was in use; start again")
        return found

    def close(self) -> None:
        self._file.close()


class JsonLines(RowFile):
    """One JSON object a line."""

    def rows(self) -> Iterator[PlacedRow]:
        self._file.seek(0)
        offset = number = 0
        while raw := self._file.readline(LONGEST_ROW + 1):
            length = len(raw)
            too_long = length > LONGEST_ROW
            while too_long and not raw.endswith(b"\n") and (raw := self._file.readline(LONGEST_ROW)):
                length += len(raw)
            number += 1
            if too_long:
                yield PlacedRow(number, offset, 0, _too_long(length))
            elif raw.strip():
                yield PlacedRow(number, offset, length, self.parse(raw))
            offset += length

    def parse(self, raw: bytes) -> Row | str:
        try:
            found = json.loads(raw.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            return _broken(error)
        except (ValueError, RecursionError) as error:
            return f"no JSON ({str(error)[:100]}); expected one object a line"
        return found if isinstance(found, dict) else 'no JSON object; expected {"question": …, …} on each line'


class Csv(RowFile):
    """A table with a header. A quoted cell may hold line breaks."""

    def __init__(self, path: Path):
        super().__init__(path)
        self._delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
        csv.field_size_limit(LONGEST_ROW)
        self._place = 0
        try:
            first = next(self._records(0), None)
        except _NoEnd as error:
            raise DataError(f"{path}: the header: {error}") from error
        if first is None:
            raise DataError(f"{path}: the file is empty; expected a header and rows")
        _, self._after_header, header = first
        if isinstance(header, str):
            raise DataError(f"{path}: the header: {header}")
        if len(set(header)) < len(header):
            twice = next(name for name in header if header.count(name) > 1)
            raise DataError(f"{path}: the column '{twice}' stands twice in the header; rename one")
        self.header = header

    def rows(self) -> Iterator[PlacedRow]:
        """Raises DataError where a row has no end, so that those behind it cannot be told."""
        number = 0
        try:
            for start, end, cells in self._records(self._after_header):
                if cells:
                    number += 1
                    yield PlacedRow(number, start, end - start, self._row(cells))
        except _NoEnd as error:
            raise DataError(
                f"{self.path}, row {number + 1}: {error}; where the next row begins cannot be told, so repair this one"
            ) from error

    def parse(self, raw: bytes) -> Row | str:
        try:
            cells: list[str] = next(self._reader(iter(io.StringIO(raw.decode(), newline=""))), [])
        except (csv.Error, UnicodeDecodeError) as error:
            return str(error)
        return self._row(cells)

    def _row(self, cells: Sequence[str] | str) -> Row | str:
        if isinstance(cells, str):
            return cells
        if len(cells) != len(self.header):
            return f"{len(cells)} cells, the header has {len(self.header)}; quote cells that hold the delimiter"
        return dict(zip(self.header, cells, strict=True))

    def _records(self, start: int) -> Iterator[tuple[int, int, list[str] | str]]:
        """(start, end, cells or why there are none) of each record from `start` on. Raises _NoEnd."""
        self._file.seek(start)
        self._place = start
        reader = self._reader(self._lines())
        while True:
            begin = self._place
            try:
                cells: list[str] | str = next(reader)
            except StopIteration:
                return
            except UnicodeDecodeError as error:
                cells, reader = _broken(error), self._reader(self._lines())
            except csv.Error as error:
                if why := next((why for said, why in _ENDLESS.items() if str(error).startswith(said)), None):
                    raise _NoEnd(why) from error
                cells, reader = f"no CSV ({error})", self._reader(self._lines())
            yield begin, self._place, cells

    def _lines(self) -> Iterator[str]:
        """The file's lines from where it stands; counts the bytes that were taken since a record began."""
        begin = self._place
        while raw := self._file.readline(LONGEST_ROW + 1):
            self._place += len(raw)
            if len(raw) > LONGEST_ROW:
                raise _NoEnd(_too_long(self._place - begin) + ", or a quote that is never closed")
            yield raw.decode("utf-8-sig" if self._place == len(raw) else "utf-8")
            begin = self._place

    def _reader(self, lines: Iterator[str]) -> Any:
        return csv.reader(lines, delimiter=self._delimiter, strict=True)


_ENDLESS = {
    "unexpected end of data": "a quote that is never closed",
    "field larger than field limit": f"more than {LONGEST_ROW:,} bytes, or a quote that is never closed",
}
"""What Python's reader says of a quoted cell without an end, and what we say."""


class _NoEnd(Exception):
    """A record whose end cannot be found."""


def _too_long(length: int) -> str:
    return f"{length:,} bytes, at most {LONGEST_ROW:,} are read"


def _broken(error: UnicodeDecodeError) -> str:
    return f"broken UTF-8 at byte {error.start} of the row; write the file as UTF-8"


def open_rows(path: Path) -> RowFile:
    """The rows of a file by its ending. Parquet must have been unpacked."""
    return Csv(path) if path.suffix.lower() in (".csv", ".tsv") else JsonLines(path)


def parquet_rows(path: Path, columns: Sequence[str] | None) -> Iterator[Row]:
    """The rows of a Parquet file, batch by batch, with those of the columns that are there.

    All columns where none are named.

    Raises DataError without a reader, and for a file that is no Parquet.
    """
    parquet, failures = _parquet(path)
    try:
        with parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            there = file.schema_arrow.names
            wanted = [name for name in columns if name in there] if columns is not None else there
            for batch in file.iter_batches(batch_size=512, columns=wanted, use_threads=False):
                yield from batch.to_pylist()
    except failures as error:
        raise DataError(f"{path} cannot be read as Parquet: {str(error)[:200]}") from error


def unpack_parquet(path: Path, target: Path, columns: Sequence[str] | None) -> None:
    """Write the rows of a Parquet file as JSON lines. Raises DataError."""
    with target.open("wb") as out:
        for row in parquet_rows(path, columns):
            out.write(json.dumps(row, default=_plain, ensure_ascii=False).encode() + b"\n")


def _plain(value: object) -> object:
    """What JSON has no form for, as text: dates, decimals, bytes in UTF-8; other bytes are an object."""
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"bytes": len(value)}  # no text, so that nothing asks or answers by it


def column_names(path: Path) -> tuple[str, ...]:
    """The columns of a data file: all that its first rows have. Raises DataError where no row can be read."""
    if path.suffix.lower() == ".parquet":
        return _parquet_columns(path)
    file = open_rows(path)
    try:
        found: dict[str, None] = {}
        why = ""
        for placed in islice(file.rows(), FIRST_ROWS):
            if isinstance(placed.row, str):
                why = why or f"; row {placed.number}: {placed.row}"
            else:
                found |= dict.fromkeys(placed.row)
        if isinstance(file, Csv):
            found |= dict.fromkeys(file.header)
        if not found:
            raise DataError(f"{path}: no row that can be read{why or '; the file is empty'}")
        return tuple(found)
    finally:
        file.close()


def _parquet_columns(path: Path) -> tuple[str, ...]:
    parquet, failures = _parquet(path)
    try:
        return tuple(parquet.read_schema(path).names)
    except failures as error:
        raise DataError(f"{path} cannot be read as Parquet: {str(error)[:200]}") from error


def _parquet(path: Path) -> tuple[Any, tuple[type[Exception], ...]]:
    """(pyarrow's module for Parquet, what it raises for a file that is none).

    Raises DataError without pyarrow.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataError(
            f"{path} is stored as Parquet: install a reader (pip install llm-league[hub]), or write it as JSON lines"
        ) from error
    return parquet, (pyarrow.ArrowException, OSError)
