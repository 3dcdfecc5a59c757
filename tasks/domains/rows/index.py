"""Where the rows of each split lie: built in one pass, kept in the cache, 14 bytes a row.

The pass reads every row, takes its question and answer, and finds what cannot be used. Then

    the same question twice     (but for capitals and blanks) counts once
    nearly the same questions   stay on one side: where the files or a column say the splits, the rows of such a group
                                that stand on another side than its most held-out row are left out (test before
                                validation before train)
    splits                      as the files or a column say; what they lack is taken from train, else from all rows,
                                by a hash of the group's first question

Problems of a split are numbered by a hash of their question, so that a file sorted by topic gives mixed exams, and so
that numbers depend on the data's content only.
"""

import hashlib
import json
import os
import tempfile
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from league.errors import DataError
from league.types import Split
from tasks.domains.checks.check import Unusable
from tasks.domains.rows.files import DataFile
from tasks.domains.rows.near_duplicates import NearDuplicates
from tasks.domains.rows.readers import Row, RowFile, open_rows, unpack_parquet

VERSION = 1
"""Of the index's form. Another one is built anew."""
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
NAMED = 3
"""Rows named in a message; the others are counted."""


@dataclass(frozen=True)
class Taken:
    """What the pass takes from a row."""

    question: str
    answer: str
    kind: str = "a text"
    """The type of the answer in the row."""
    split: Split | None = None
    """What a column of the row says."""


@dataclass(frozen=True)
class IndexPlan:
    """How an index is built."""

    files: tuple[DataFile, ...]
    take: Callable[[Row], Taken]
    """Raises Unusable."""
    settings: str
    """All that `take` depends on, as text: a part of the cache's name."""
    shares: tuple[float, float]
    """Of validation and test, where they are taken by hash."""
    threshold: float
    """From which similarity questions are nearly the same; 1 looks for equal ones only."""
    skip_bad: bool
    columns: tuple[str, ...] | None = None
    """What is needed of Parquet files; None is everything."""


@dataclass(frozen=True)
class IndexReport:
    """What was found, counted in rows."""

    digest: str
    """sha256 of the files' content."""
    rows: int
    sizes: dict[str, int]
    """Problems by split."""
    repeated: int
    """Left out, because the question stands there before."""
    disagreeing: int
    """Of these, with another answer than the first."""
    across: int
    """Left out, because the same or nearly the same question stands in a split that is more held out."""
    largest_group: int
    bad: int
    """Left out by `bad_rows: skip`."""
    answers: int
    """Distinct answers, counted no further than 3."""


@dataclass(frozen=True)
class Index:
    """Opened files and the place of every problem in them."""

    report: IndexReport
    files: Sequence[RowFile]
    places: dict[str, NDArray[Any]]
    """`SPLIT/file`, `SPLIT/offset` and `SPLIT/length`, each (problems of the split,)."""

    def row(self, split: Split, number: int) -> Row:
        """The row of problem `number` of a split, which must have so many.

        Raises DataError for a changed file.
        """
        file, offset, length = (int(self.places[f"{split}/{part}"][number]) for part in ("file", "offset", "length"))
        return self.files[file].row_at(offset, length)


@dataclass
class _Pass:
    """What one pass over the files gathers, a value a usable row."""

    file: "array[int]" = field(default_factory=lambda: array("H"))
    offset: "array[int]" = field(default_factory=lambda: array("Q"))
    length: "array[int]" = field(default_factory=lambda: array("I"))
    digest: "array[int]" = field(default_factory=lambda: array("Q"))
    answer: "array[int]" = field(default_factory=lambda: array("Q"))
    split: "array[int]" = field(default_factory=lambda: array("b"))
    rows: int = 0
    bad: list[str] = field(default_factory=list)
    bad_rows: int = 0
    kind: str = ""
    near: NearDuplicates = field(default_factory=NearDuplicates)


def digest_of(text: str) -> int:
    """64 bits of a text, capitals and blanks aside. Of a million texts two collide with odds of 3e-8."""
    plain = " ".join(text.casefold().split())
    return int.from_bytes(hashlib.blake2b(plain.encode(errors="replace"), digest_size=8).digest(), "big")


def open_index(plan: IndexPlan, cache: Path | None) -> Index:
    """The index of a plan's files, from the cache or built and kept there. Raises DataError."""
    key = hashlib.sha256(
        json.dumps(
            [VERSION, [(*each.stamp, each.split) for each in plan.files], plan.settings, plan.shares, plan.threshold]
            + [plan.skip_bad, plan.columns]
        ).encode()
    ).hexdigest()[:32]
    folder = _folder(cache, key)
    files = [_opened(file, number, folder, plan.columns) for number, file in enumerate(plan.files)]
    kept = folder / "index.npz"
    if kept.is_file():
        try:
            with np.load(kept) as found:
                places = {name: found[name] for name in found.files if name != "report"}
                return Index(IndexReport(**json.loads(str(found["report"]))), files, places)
        except (OSError, ValueError, KeyError, TypeError, EOFError):
            kept.unlink(missing_ok=True)  # half written, or of another version: built anew
    index = _build(plan, files)
    _keep(index, kept)
    return index


def _keep(index: Index, place: Path) -> None:
    """Keep the index for later processes. Where there is no room it lasts as long as this one."""
    part = place.with_suffix(f".{os.getpid()}.part")
    try:
        with part.open("wb") as scratch:
            np.savez(scratch, report=np.array(json.dumps(asdict(index.report))), **index.places)  # type: ignore[arg-type]
        os.replace(part, place)
    except OSError:
        part.unlink(missing_ok=True)


_SCRATCH: list["tempfile.TemporaryDirectory[str]"] = []
"""Folders that stand in for a cache which cannot be written; removed when the process ends."""


def _folder(cache: Path | None, key: str) -> Path:
    if cache is not None:
        try:
            (cache / key).mkdir(parents=True, exist_ok=True)
            if os.access(cache / key, os.W_OK):
                return cache / key
        except OSError:
            pass  # read-only or full: the index lasts as long as this process
    _SCRATCH.append(tempfile.TemporaryDirectory(prefix="league-data-"))
    return Path(_SCRATCH[-1].name)


def _opened(file: DataFile, number: int, folder: Path, columns: Sequence[str] | None) -> RowFile:
    if file.path.suffix.lower() != ".parquet":
        return open_rows(file.path)
    target = folder / f"{number}.jsonl"
    if not target.is_file():
        part = target.with_suffix(f".{os.getpid()}.part")
        try:
            unpack_parquet(file.path, part, columns)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
    return open_rows(target)


# ------------------------------------------------------------------------------------------------- the pass
def _build(plan: IndexPlan, files: Sequence[RowFile]) -> Index:
    found = _read(plan, files)
    if not found.offset:
        raise DataError(f"{plan.files[0].path}: no row that can be used" + (f"; {found.bad[0]}" if found.bad else ""))
    digest_N = np.frombuffer(found.digest, np.uint64)
    split_N = np.frombuffer(found.split, np.int8)
    group_N = np.arange(len(digest_N))
    if plan.threshold < 1:

        def question(place: int) -> str:
            row = files[found.file[place]].row_at(found.offset[place], found.length[place])
            return plan.take(row).question

        group_N = found.near.groups(question, plan.threshold)
    chosen_N, first_N = _sides(plan, digest_N, split_N, group_N)
    sizes: dict[str, int] = {}
    places: dict[str, NDArray[Any]] = {}
    file_N, offset_N, length_N = (
        np.frombuffer(part, part.typecode) for part in (found.file, found.offset, found.length)
    )
    for number, split in enumerate(SPLITS):
        kept = np.flatnonzero(first_N & (chosen_N == number))
        kept = kept[np.argsort(digest_N[kept], kind="stable")]
        sizes[split] = len(kept)
        for name, values in (("file", file_N), ("offset", offset_N), ("length", length_N)):
            places[f"{split}/{name}"] = values[kept].copy()
    answer_N = np.frombuffer(found.answer, np.uint64)
    report = IndexReport(
        digest=_content(plan.files),
        rows=found.rows,
        sizes=sizes,
        repeated=int((~first_N & (chosen_N >= 0)).sum()),
        disagreeing=_disagreeing(digest_N, answer_N),
        across=int((chosen_N < 0).sum()),
        largest_group=int(np.unique(group_N[first_N], return_counts=True)[1].max()),
        bad=found.bad_rows,
        answers=min(3, len(np.unique(answer_N))),
    )
    return Index(report, files, places)


def _read(plan: IndexPlan, files: Sequence[RowFile]) -> _Pass:
    """One pass. Raises DataError naming the first bad rows, unless they are to be left out."""
    found = _Pass()
    for number, (about, file) in enumerate(zip(plan.files, files, strict=True)):
        for placed in file.rows():
            found.rows += 1
            try:
                if isinstance(placed.row, str):
                    raise Unusable(placed.row)
                taken = plan.take(placed.row)
                found.kind = found.kind or taken.kind
                if taken.kind != found.kind:
                    raise Unusable(
                        f"the answer is {taken.kind}, in the rows before it is {found.kind}; make all of them one type "
                        "(by a template all become texts)"
                    )
            except Unusable as error:
                found.bad_rows += 1
                if len(found.bad) < NAMED:
                    found.bad.append(f"{about.path}, row {placed.number}: {error}")
                continue
            found.file.append(number)
            found.offset.append(placed.offset)
            found.length.append(placed.length)
            found.digest.append(digest_of(taken.question))
            found.answer.append(digest_of(taken.answer))
            split = taken.split or about.split
            found.split.append(-1 if split is None else SPLITS.index(split))
            if plan.threshold < 1:
                found.near.add(taken.question)
    if found.bad and not plan.skip_bad:
        more = found.bad_rows - len(found.bad)
        raise DataError(
            "; ".join(found.bad)
            + (f"; and {more} more rows" if more else "")
            + "; repair them, or leave such rows out with `bad_rows: skip`"
        )
    return found


def _sides(
    plan: IndexPlan, digest_N: NDArray[np.uint64], split_N: NDArray[np.int8], group_N: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(the split of each row, −1 where it is left out; whether its question is the one kept)."""
    group_N = _joined(group_N, digest_N)
    held_out_N = split_N.astype(np.int64)
    side_N = np.full(len(group_N), -1)
    np.maximum.at(side_N, group_N, held_out_N)
    side_N = side_N[group_N]
    given = set(np.unique(held_out_N).tolist())
    lowest_N = np.full(len(group_N), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(lowest_N, group_N, digest_N)
    draw_N = (_mixed(lowest_N[group_N]) >> np.uint64(11)).astype(float) / 2**53
    validation, test = plan.shares
    free_N = side_N <= 0
    chosen_N = np.where(side_N < 0, 0, side_N)
    if 2 not in given:
        chosen_N = np.where(free_N & (draw_N < test), 2, chosen_N)
    if 1 not in given:
        chosen_N = np.where(free_N & (draw_N >= test) & (draw_N < test + validation), 1, chosen_N)
    # of equal questions the first on the group's side is kept; rows on another side than their group's are left out
    away_N = (held_out_N >= 0) & (held_out_N != side_N)
    order = np.lexsort((np.arange(len(digest_N)), away_N, digest_N))
    first_N = np.zeros(len(digest_N), bool)
    first_N[order[np.flatnonzero(np.diff(digest_N[order], prepend=digest_N[order][:1] + np.uint64(1)))]] = True
    return np.where(away_N, -1, chosen_N), first_N


def _joined(group_N: NDArray[np.int64], digest_N: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Groups in which equal questions are together too, each named by one of its members."""
    _, same_N = np.unique(digest_N, return_inverse=True)
    while True:
        lowest = np.full(len(group_N), len(group_N))
        np.minimum.at(lowest, same_N, group_N)
        after = lowest[same_N]
        np.minimum.at(after, group_N, after.copy())
        after = np.minimum(after, after[group_N])
        if np.array_equal(after, group_N):
            return group_N
        group_N = after


def _mixed(value_N: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: the split does not follow the order in which problems are numbered."""
    value_N = (value_N ^ (value_N >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value_N = (value_N ^ (value_N >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value_N ^ (value_N >> np.uint64(31))


def _disagreeing(digest_N: NDArray[np.uint64], answer_N: NDArray[np.uint64]) -> int:
    """Rows whose question has another answer than its first row."""
    _, first, same = np.unique(digest_N, return_index=True, return_inverse=True)
    return int((answer_N != answer_N[first][same]).sum())


def _content(files: Sequence[DataFile]) -> str:
    """sha256 over the files' contents, in their order; names and places do not count."""
    whole = hashlib.sha256()
    for file in files:
        with file.path.open("rb") as opened:
            whole.update(hashlib.file_digest(opened, "sha256").digest())
    return whole.hexdigest()


def left_out(report: IndexReport) -> Iterator[str]:
    """What was left out, in words."""
    if report.repeated:
        yield f"{report.repeated} repeated" + (
            f" ({report.disagreeing} with another answer)" if report.disagreeing else ""
        )
    if report.across:
        yield f"{report.across} the same or nearly the same as a held-out one"
    if report.bad:
        yield f"{report.bad} that cannot be used"
