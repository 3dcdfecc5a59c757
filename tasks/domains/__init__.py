"""Families of problems with a verifier, levels of difficulty and three splits.

The splits share nothing.

`DOMAINS` is the closed list of the generated ones; `dataset` reads a user's own data (`DataSet`). To add one, write a
`DomainKind` in the file of its field (docs/domains.md). A user's own is a dotted path: "package.module:KIND" for a
`DomainKind`, "package.module:Class" for a frozen dataclass under `Domain`. Nothing here imports reasoning-gym until the
first problem is drawn, so a config can be checked at once.
"""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Annotated, Any

from pydantic import Field

from league.errors import ConfigError, Foreign, UserError
from league.registry import Registry, Schema, build, check, fields_of
from tasks.domains import algebra, arithmetic, counting, logic, words
from tasks.domains.dataset import SETTINGS, DataSet
from tasks.domains.domain import Domain
from tasks.domains.generated import GeneratedDomain
from tasks.domains.kind import DomainKind, Level, Rendered

__all__ = ["DOMAINS", "Domain", "DomainKind", "Level", "Rendered", "check_domain", "make_domain"]

DOMAINS: dict[str, DomainKind] = {
    kind.name: kind for kind in (*arithmetic.KINDS, *algebra.KINDS, *words.KINDS, *counting.KINDS, *logic.KINDS)
}
OwnKind = DomainKind | type[Domain]


def _accepts(found: object) -> bool:
    if isinstance(found, type):
        return issubclass(found, Domain) and found is not Domain and is_dataclass(found)
    return isinstance(found, DomainKind)


def _schema(found: OwnKind) -> Schema:
    if isinstance(found, DomainKind):
        return {key: Annotated[int, Field(strict=True, ge=low, le=high)] for key, (low, high) in found.knobs.items()}
    names = SETTINGS if issubclass(found, DataSet) else {}
    return {names.get(key, key): annotation for key, annotation in fields_of(found).items()}


def _make(found: OwnKind, *, name: str, level: int, seed: int, **settings: Any) -> Domain:
    if isinstance(found, DomainKind):
        return GeneratedDomain(name, level, seed, kind=found, settings=settings)
    fields = {name: key for key, name in SETTINGS.items()} if issubclass(found, DataSet) else {}
    return found(name=name, level=level, seed=seed, **{fields.get(key, key): value for key, value in settings.items()})


KINDS: Registry[Domain] = Registry(
    what="domain",
    entries={**DOMAINS, "dataset": DataSet},
    expected="a DomainKind, or a frozen dataclass under tasks.domains.Domain",
    accepts=_accepts,
    schema=_schema,
    make=_make,
)


def check_domain(
    kind: str, level: int = 1, settings: Mapping[str, object] | None = None, *, alias: str | None = None
) -> list[str]:
    """All that is wrong with a choice of domain, each `key: what is wrong`. Imports no generator."""
    try:
        make_domain(kind, level, settings, alias=alias)
    except ConfigError as error:
        return list(error.problems)
    return []


def make_domain(
    kind: str, level: int = 1, settings: Mapping[str, object] | None = None, *, seed: int = 0, alias: str | None = None
) -> Domain:
    """A domain ready to give problems, under its kind's name or an alias.

    Raises ConfigError listing all that is wrong.
    """
    chosen = settings or {}
    problems = check(KINDS, kind, chosen)
    if not any(line.startswith("kind:") for line in problems):
        found: OwnKind = KINDS.find(kind)
        levels = len(found.levels) if isinstance(found, DomainKind) else found.levels
        if isinstance(level, bool) or not isinstance(level, int) or not 1 <= level <= levels:
            problems.insert(0, f"level: expected level 1 to {levels}, found {level!r}")
    if problems:
        raise ConfigError(f"domain '{kind}'", problems)
    try:
        domain = build(KINDS, kind, chosen, name=alias or kind, level=level, seed=seed)
        with Foreign(f"domain '{kind}': its check fails"):
            problems = [f"settings.{line}" for line in domain.check()]
    except UserError as error:
        problems = [f"kind: {line}" for line in str(error).splitlines()]
    if problems:
        raise ConfigError(f"domain '{kind}'", problems)
    return domain
