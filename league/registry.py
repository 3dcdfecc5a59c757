"""Things built from a name and settings: tasks, domains, matchmaking rules, solvers, or a user's own.

A `Registry` is a closed list of kinds. A user's own kind stands outside it, as a dotted path "package.module:Name";
the folder of the config and the current folder are looked in too (`add_code_folders`). `build` is the one way to make
any of them. Settings are validated by pydantic in lax mode, for YAML reads `1e-3` as a string; bounds are pydantic's
`Field` in the annotation of a setting.
"""

import importlib
import importlib.machinery
import importlib.util
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt
from pydantic import TypeAdapter, ValidationError

from league.errors import Foreign, UserError, nearest

T = TypeVar("T")
INJECTED = {"injected": True}
"""Metadata of a dataclass field that the run fills in, so that no config may."""
Schema = Mapping[str, Any]
"""Setting → its annotation, bounds included."""


def fields_of(made: Any) -> Schema:
    """The settings of a dataclass: its fields, without those that the run gives.

    Those are `name`, `domains` and what is INJECTED.
    """
    hints = get_type_hints(made, include_extras=True)
    own = (f for f in fields(made) if f.init and f.name not in ("name", "domains") and not f.metadata.get("injected"))
    return {each.name: hints[each.name] for each in own}


def call(made: Any, **arguments: Any) -> Any:
    """Make a thing by calling what its name stands for."""
    return made(**arguments)


@dataclass(frozen=True)
class Registry(Generic[T]):
    """A closed list of kinds of one sort of thing, with how such a thing is checked and made."""

    what: str
    """The config's words for it, e.g. "task kind"."""
    entries: Mapping[str, Any]
    """Name → the kind itself, or "module:Name", imported when used."""
    expected: str
    """What a user's own must be, in words."""
    accepts: Callable[[Any], bool]
    """Whether what a path names is such a kind."""
    schema: Callable[[Any], Schema] = fields_of
    make: Callable[..., T] = call
    """(kind, what the run gives and the settings by keyword) → the thing."""

    def find(self, kind: str) -> Any:
        """What a name or a dotted path stands for. Raises UserError that names the nearest valid name."""
        found = self.entries.get(kind, kind)
        if isinstance(found, str):
            if ":" not in found:
                known = nearest(kind, list(self.entries))
                raise UserError(f"unknown {self.what} '{kind}'{known} (or your own as 'package.module:Name')")
            found = find(found, self.what)
        if not self.accepts(found):
            raise UserError(f"{self.what} '{kind}': expected {self.expected}; found {_described(found)}")
        return found


def check(registry: Registry[Any], kind: str, settings: Mapping[str, Any]) -> list[str]:
    """Problems with a kind and its settings: `kind: …`, or `settings.KEY: …`; empty when it can be built."""
    try:
        return _validated(registry, kind, registry.find(kind), settings)[1]
    except UserError as error:
        return [f"kind: {error}"]


def build(registry: Registry[T], kind: str, settings: Mapping[str, Any], **given: Any) -> T:
    """The thing itself, from its settings and what the run gives it.

    Raises UserError, a line for each problem.
    """
    found = registry.find(kind)
    values, problems = _validated(registry, kind, found, settings)
    if problems:
        raise UserError("\n".join(problems))
    with Foreign(f"{registry.what} '{kind}' cannot be made"):
        return registry.make(found, **given, **values)


def _validated(
    registry: Registry[Any], kind: str, found: Any, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """(settings in their declared types, problems)."""
    with Foreign(f"{registry.what} '{kind}': the types of its settings cannot be read"):
        schema = registry.schema(found)
    values, problems = {}, []
    for key, value in settings.items():
        if key not in schema:
            hint = nearest(key, list(schema)) if schema else f"; this {registry.what} has no settings"
            problems.append(f"settings.{key}: unknown setting of {registry.what} '{kind}'{hint}")
            continue
        with Foreign(f"{registry.what} '{kind}': its setting '{key}' cannot be read"):
            try:
                values[key] = TypeAdapter(schema[key]).validate_python(value)
            except ValidationError as error:
                problems.append(f"settings.{key}: {_wrong(schema[key], error, value)}")
                continue
        if isinstance(values[key], float) and not math.isfinite(values[key]):
            problems.append(f"settings.{key}: expected a finite number, found {value!r}")
        if isinstance(value, bool) and not isinstance(values[key], bool):
            problems.append(f"settings.{key}: expected a number, found {value!r}")
    return values, problems


def _wrong(annotation: Any, error: ValidationError, value: Any) -> str:
    """What is wrong with a value, with all its choices or both its bounds."""
    inner = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    if get_origin(inner) is Literal:
        choices = [str(choice) for choice in get_args(inner)]
        return f"'{value}' is not one of {', '.join(choices)}{nearest(str(value), choices)}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"expected a finite number, found {value!r}"
    low, high = _bounds(annotation)
    if inner is int and isinstance(low, Ge) and isinstance(high, Le):
        return f"expected a whole number from {low.ge} to {high.le}, found {value!r}"
    if error.errors()[0]["type"].startswith(("greater", "less")):
        return f"must {_range(low, high)}, found {value}"
    return f"{error.errors()[0]['msg'].lower()}, found {value!r}"


def _bounds(annotation: Any) -> tuple[Ge | Gt | None, Le | Lt | None]:
    """The lower and the upper bound that pydantic's `Field` sets."""
    marks = [mark for field in get_args(annotation)[1:] for mark in getattr(field, "metadata", ())]
    low = next((mark for mark in marks if isinstance(mark, Ge | Gt)), None)
    high = next((mark for mark in marks if isinstance(mark, Le | Lt)), None)
    return low, high


def _range(low: Ge | Gt | None, high: Le | Lt | None) -> str:
    """What a number must do: "be at least 2", "be above 0", or "lie in (0, 1]"."""
    least = "" if low is None else f"be at least {low.ge:g}" if isinstance(low, Ge) else f"be above {low.gt:g}"
    most = "" if high is None else f"be at most {high.le:g}" if isinstance(high, Le) else f"be below {high.lt:g}"
    if low is None or high is None:
        return least or most
    left = f"[{low.ge:g}" if isinstance(low, Ge) else f"({low.gt:g}"
    right = f"{high.le:g}]" if isinstance(high, Le) else f"{high.lt:g})"
    return f"lie in {left}, {right}"


def find(path: str, what: str) -> Any:
    """The object that "package.module:name" names; `what` is the config's word for it.

    Raises UserError for a path of another shape, for a module that is not there (with where it was looked for), and
    for one that cannot be imported, whatever it raises.
    """
    if not names_code(path):
        raise UserError(f"{what} '{path}': expected 'package.module:name'")
    module, _, name = path.partition(":")
    with Foreign(f"{what} '{path}' cannot be imported"):
        try:
            return getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as missing:
            if missing.name != module.partition(".")[0]:
                raise
            raise UserError(
                f"{what} '{path}' cannot be imported: ModuleNotFoundError: {missing}; looked beside the config, in the "
                "current folder and in what is installed: start from the folder that holds it"
            ) from missing


def names_code(text: str) -> bool:
    """Whether a text has the form "package.module:name"."""
    module, _, name = text.partition(":")
    return name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def whereabouts(path: str) -> str:
    """Which files "package.module:name" would load, for people: the module's and its packages'.

    Nothing of it is run: a package may also say in its code that its modules lie elsewhere, and that is not seen.
    A program is named by its absolute path, and an environment by its module's name, dashes for underscores.
    """
    if Path(path).is_absolute():
        return "found" if Path(path).exists() else "not found on this machine"
    parts = path.partition(":")[0].rpartition("/")[2].replace("-", "_").split(".")
    before: list[str] = []
    folders: list[str] | None = None
    for number in range(1, len(parts) + 1):
        name = ".".join(parts[:number])
        found = _spec(name, folders)
        first = f" first {', '.join(before)}" if before else ""
        if found is None:
            return f"{name} is not found on this machine" + (f"; first loads {', '.join(before)}" if before else "")
        place = found.origin if found.has_location else None
        folders = list(found.submodule_search_locations) if found.submodule_search_locations is not None else None
        what = place or (f"the folder {folders[0]}" if folders else "")
        if number == len(parts):
            return (f"loads {what}" if what else "part of Python itself") + (f", and{first}" if before else "")
        if folders is None and ".".join(parts[: number + 1]) not in sys.modules:
            return f"{name} is a module and holds no others: {what or 'part of Python itself'}"
        before += [place] if place else []
    raise AssertionError("a path has at least one part")


def _spec(name: str, folders: list[str] | None) -> ModuleSpec | None:
    """How a module would be loaded, found without loading the packages around it."""
    try:
        if folders is None or name in sys.modules:
            return importlib.util.find_spec(name)  # of what is loaded already nothing is looked for
        return importlib.machinery.PathFinder.find_spec(name.rpartition(".")[2], folders)
    except (ImportError, ValueError, AttributeError):
        return None


def add_code_folders(*folders: Path) -> None:
    """Let dotted paths also name modules in these folders, behind what is installed."""
    for folder in dict.fromkeys(os.path.realpath(folder) for folder in folders):  # a circle of links is no error
        if folder not in sys.path:
            sys.path.append(folder)


def _described(found: Any) -> str:
    return f"the class {found.__name__}" if isinstance(found, type) else type(found).__name__
