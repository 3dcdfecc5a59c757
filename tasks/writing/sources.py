"""Texts to write about: where they come from, what may be done with them, and how they are split.

Two sources ship with every Python and need no network; they go by their own names, never by those of the paper's data
sets:

    docstrings  prose of the standard library's docstrings, 100–600 characters (PSF licence); `answer`: summary line
    topics      passages of the language reference in `pydoc_data.topics`, 60–160 words (PSF licence)

Two come from the hub and are loaded from its Parquet copies when one is reachable:

    tldr        trl-lib/tldr, Reddit posts; `answer` is the human TL;DR; the first 1,100 of train and test (the paper)
    arxiv       OpenMLRL/arXiv_abstract, abstracts of 100–300 tokens; the first 1,100 of train and of val

A split never divides a cluster of near-duplicates (`tasks/writing/clusters.py`): boilerplate that differs in one word
would leak the test set. Problems are numbered in the order of their text's hash, so numbers depend on the source's
content only; for the two local sources that is the Python version's.
"""

import ast
import hashlib
import re
import sysconfig
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, get_args

from league.errors import DataError, UserError, nearest
from league.types import Problem, Split
from tasks.writing.clusters import clusters

HUB_ROWS = 1100
SKIPPED = frozenset(
    {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo", "lib-dynload"}
)


@dataclass(frozen=True)
class Passage:
    """A text to summarise or expand, and a human's summary of it where there is one."""

    text: str
    summary: str = ""


@dataclass(frozen=True)
class Source:
    name: str
    licence: str
    load: Callable[[], Iterable[Passage]]


# ------------------------------------------------------------------------------------------------ local texts
def prose(text: str) -> str:
    """The paragraphs of a docstring that are sentences, joined by blanks.

    Examples, tables, field lists and code are left out.
    """
    kept = []
    for paragraph in re.split(r"\n\s*\n", text):
        lines = [line.strip() for line in paragraph.strip().splitlines()]
        flat = " ".join(lines)
        listed = sum(bool(re.match(r"([-*>|+=:]|\w+\s*(--|:|=)|\d+\.)", line)) for line in lines)
        odd = sum(not (char.isalnum() or char in " .,;:'\"()-`") for char in flat)
        if (
            flat
            and listed <= len(lines) / 3
            and odd <= 0.04 * len(flat)
            and "::=" not in flat
            and re.search(r"[.!?:]['\")]?$", flat)
        ):
            kept.append(flat)
    return " ".join(kept)


def _docstrings() -> Iterator[Passage]:
    """Every docstring of the standard library whose body is 100–600 characters of prose.

    Modules are parsed, never imported.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        if SKIPPED & set(path.relative_to(root).parts):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue  # a few files of lib2to3-like fixtures are not Python 3; they hold no docstrings of ours
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
                found := ast.get_docstring(node)
            ):
                summary, _, body = found.strip().partition("\n\n")
                text = prose(body)
                if 100 <= len(text) <= 600 and "\n" not in summary:
                    yield Passage(text, summary)


def _topics() -> Iterator[Passage]:
    """Passages of consecutive prose paragraphs, 60–160 words, from pydoc's topics."""
    from pydoc_data.topics import topics

    for name in sorted(topics):
        passage: list[str] = []
        for paragraph in re.split(r"\n\s*\n", topics[name]):
            if text := prose(paragraph):
                passage += text.split()
            if len(passage) >= 60:
                if len(passage) <= 160:
                    yield Passage(" ".join(passage))
                passage = []


# -------------------------------------------------------------------------------------------------- hub texts
def hub_rows(
    repository: str, split: str, columns: Sequence[str], *, instead: str = "'docstrings' or 'topics'"
) -> Iterator[dict[str, Any]]:
    """Rows of a hub data set's Parquet copy (branch `refs/convert/parquet`).

    Raises DataError when there is no hub, no such split, or no Parquet reader; `instead` names sources that need none.
    Without a network only the refusals are exercised.
    """
    import pandas as pd
    from huggingface_hub import HfApi, hf_hub_download

    from league.model import hub

    kind, branch = "dataset", "refs/convert/parquet"
    if (reason := hub.unreachable(repository, branch, kind="dataset")) is not None:
        raise DataError(f"data set '{repository}' is out of reach: {reason}; use source {instead}")
    odd: tuple[type[Exception], ...] = (*hub.client_errors(), AttributeError, KeyError, TypeError, ValueError)
    try:
        names = [
            name
            for name in HfApi().list_repo_files(repository, repo_type=kind, revision=branch)
            if f"/{split}/" in name and name.endswith(".parquet")
        ]
        files = [hf_hub_download(repository, name, repo_type=kind, revision=branch) for name in sorted(names)]
    except odd as error:
        raise DataError(
            f"data set '{repository}' is out of reach ({type(error).__name__}): use source {instead}"
        ) from error
    if not files:
        raise DataError(f"data set '{repository}' has no split '{split}' in its Parquet copy")
    for file in files:
        try:
            frame = pd.read_parquet(file, columns=list(columns))
        except ImportError as error:
            raise DataError(f"'{repository}' is stored as Parquet: install a reader (pip install pyarrow)") from error
        yield from frame.to_dict("records")


def _tldr() -> Iterator[Passage]:
    for split in ("train", "test"):
        for row in islice(hub_rows("trl-lib/tldr", split, ("prompt", "completion")), HUB_ROWS):
            yield Passage(row["prompt"].strip(), row["completion"].strip())


def _arxiv() -> Iterator[Passage]:
    for split in ("train", "val"):
        for row in islice(hub_rows("OpenMLRL/arXiv_abstract", split, ("abstract_text",)), HUB_ROWS):
            text = row["abstract_text"]
            yield Passage((text if isinstance(text, str) else " ".join(text)).strip())


SOURCES: dict[str, Source] = {
    source.name: source
    for source in (
        Source("docstrings", "PSF-2.0", _docstrings),
        Source("topics", "PSF-2.0", _topics),
        Source("tldr", "MIT (posts by their authors)", _tldr),
        Source("arxiv", "see arXiv", _arxiv),
    )
}


# ------------------------------------------------------------------------------------------------------ splits
def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def split_of(cluster: Iterable[str]) -> Split:
    """80% train, 10% validation, 10% test, by the smallest hash in the cluster.

    The same texts land there whatever else there is.
    """
    bucket = int(min(_hash(text) for text in cluster)[:8], 16) % 10
    return "test" if bucket == 0 else "validation" if bucket == 1 else "train"


def divide(name: str, passages: Iterable[Passage]) -> dict[Split, tuple[Problem, ...]]:
    """Passages as problems of domain `name`, split by near-duplicate cluster.

    Each split stands in the order of its texts' hashes.
    """
    found = {passage.text: passage for passage in passages if passage.text}
    texts = sorted(found, key=_hash)
    chosen: dict[Split, list[str]] = {split: [] for split in get_args(Split)}
    for cluster in clusters(texts):
        chosen[split_of(texts[i] for i in cluster)] += [texts[i] for i in cluster]
    return {
        split: tuple(
            Problem(name, split, index, text, found[text].summary)
            for index, text in enumerate(sorted(members, key=_hash))
        )
        for split, members in chosen.items()
    }


@cache
def problems_of(source: str) -> dict[Split, tuple[Problem, ...]]:
    """All problems of a source, by split; loaded once per process.

    Raises UserError for an unknown source, DataError for an empty one.
    """
    if source not in SOURCES:
        raise UserError(f"unknown writing source '{source}'{nearest(source, list(SOURCES))}")
    divided = divide(source, SOURCES[source].load())
    if empty := [split for split, members in divided.items() if not members]:
        raise DataError(f"writing source '{source}' has no texts for {', '.join(empty)}")
    return divided
