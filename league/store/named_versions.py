"""Which version a person means.

`name` is the live one, `name@step` a stored one, `base` the base model. Every command that takes agents asks here, so
that they all take the same words. A version has weights while they are kept: those of members, frozen opponents and
pinned versions are.
"""

from collections.abc import Iterable

from league.errors import UserError, nearest
from league.store.reader import RunReader
from league.types import BASE, ROLES, Version


def named_version(reader: RunReader, name: str) -> Version:
    """The version that speaks under this name. Raises UserError where nobody does, and says why.

    A version with weights has them on the disk; scripted and remote players are there while they are members.
    """
    if name == BASE.agent:
        return BASE
    live = reader.live()
    if name in live:
        return live[name]
    if name in {str(version) for version in live.values()}:
        return Version.parse(name)
    stored = {str(row.version): row for row in reader.versions()}
    kept = [text for text, row in stored.items() if row.blob and reader.blobs.has(row.blob)]
    if name in kept:
        return stored[name].version
    if name in stored:
        raise UserError(_why_silent(reader, name, weights=bool(stored[name].blob)))
    if (newest := [text for text in kept if text.rpartition("@")[0] == name]) or name in _agents(stored):
        found = f"; of its versions {', '.join(newest[-5:])} still has weights" if newest else ""
        raise UserError(f"agent '{name}' is not in this run any more{found}")
    known = [*map(str, live.values()), *kept] if "@" in name else [*live, *kept]
    raise UserError(f"'{name}' is neither an agent nor a version with weights of this run{nearest(name, known)}")


def stored_version(reader: RunReader, name: str) -> Version:
    """A version that was stored, with or without weights by now. Raises UserError where it never was."""
    live = reader.live()
    if name in live:
        return live[name]
    known = [str(row.version) for row in reader.versions()]
    if name not in known:
        raise UserError(f"'{name}' is neither an agent nor a version of this run{nearest(name, [*live, *known])}")
    return Version.parse(name)


def has_weights(reader: RunReader, version: Version) -> bool:
    """Whether an adapter of this version lies in the run folder."""
    if version == BASE:
        return False
    row = reader.version_row(version)
    return ROLES[row.role].has_weights and row.blob is not None and reader.blobs.has(row.blob)


def _agents(stored: Iterable[str]) -> set[str]:
    return {text.rpartition("@")[0] for text in stored}


def _why_silent(reader: RunReader, name: str, *, weights: bool) -> str:
    """Why a stored version cannot speak, and what would have kept it."""
    if not weights:
        return f"{name} is in the lineage of this run, but never had weights there that were stored"
    return (
        f"the weights of {name} are gone: only those of members, their frozen opponents and pinned versions are kept "
        f"(`league pin {reader.folder} NAME@STEP` keeps a version from the round it is made in; `league.keep_rounds` "
        "keeps more rounds)"
    )
