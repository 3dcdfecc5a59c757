"""Domains: families of problems with a verifier, levels of difficulty and three splits that cannot
overlap.

`DOMAINS` is the closed list. To add one, write a `DomainKind` in the file of its field (docs/domains.md). Nothing
here imports reasoning-gym until the first problem is drawn, so a config can be checked at once.
"""

from collections.abc import Mapping

from league.errors import ConfigError, nearest
from tasks.domains import algebra, arithmetic, counting, logic, words
from tasks.domains.domain import Domain
from tasks.domains.kind import DomainKind, Level, Rendered

__all__ = ["DOMAINS", "Domain", "DomainKind", "Level", "Rendered", "check_domain", "make_domain"]

DOMAINS: dict[str, DomainKind] = {
    kind.name: kind for kind in (*arithmetic.KINDS, *algebra.KINDS, *words.KINDS, *counting.KINDS, *logic.KINDS)
}


def check_domain(name: str, level: int = 1, settings: Mapping[str, object] | None = None) -> list[str]:
    """Everything wrong with a choice of domain, one line each; empty when nothing is. Imports no
    generator."""
    kind = DOMAINS.get(name)
    if kind is None:
        return [f"unknown domain '{name}'{nearest(name, list(DOMAINS))}"]
    problems = []
    if isinstance(level, bool) or not isinstance(level, int) or not 1 <= level <= len(kind.levels):
        problems.append(f"domain '{name}': expected level 1 to {len(kind.levels)}, found {level!r}")
    given = dict(settings or {})
    for key, value in given.items():
        if key not in kind.knobs:
            hint = nearest(key, list(kind.knobs)) if kind.knobs else "; this domain has no settings"
            problems.append(f"domain '{name}': unknown setting '{key}'{hint}")
            continue
        low, high = kind.knobs[key]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            problems.append(
                f"domain '{name}': setting '{key}': expected a whole number from {low} to {high}, found {value!r}"
            )
    if problems:
        return problems
    merged = {**kind.levels[level - 1].settings, **given}
    for key, value in merged.items():
        upper = merged.get(key.replace("min_", "max_", 1))
        if key.startswith("min_") and isinstance(value, int) and isinstance(upper, int) and value > upper:
            other = key.replace("min_", "max_", 1)
            problems.append(f"domain '{name}': '{key}' is {value} but '{other}' is {upper}; set both so that min ≤ max")
    return problems


def make_domain(
    name: str, level: int = 1, settings: Mapping[str, object] | None = None, *, seed: int = 0, alias: str | None = None
) -> Domain:
    """A domain ready to give problems, under its kind's name or an alias. Raises ConfigError
    listing all that `check_domain` finds."""
    problems = check_domain(name, level, settings)
    if problems:
        raise ConfigError(f"domain '{name}'", problems)
    chosen = {key: value for key, value in (settings or {}).items() if isinstance(value, int)}
    return Domain(DOMAINS[name], level, chosen, seed, alias)
