"""YAML and `key.sub=value` overrides in, one resolved and checked value out.

Every problem is found before anything is loaded or written, and all are listed at once, each with its dotted path
and, for a misspelt name, the nearest valid one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from league.config import yaml_values
from league.config.references import references
from league.config.sections import Config
from league.errors import LONG_NAME, ConfigError, UserError, nearest


@dataclass(frozen=True)
class ParseResult:
    """A configuration that was read, right or wrong: its problems, and its well-formed part.

    Other layers check the names in the well-formed part at the same time, so that all problems are listed together.
    """

    source: str
    config: Config | None
    """The well-formed part; None where nothing can be read."""
    problems: tuple[str, ...]

    def checked(self) -> Config:
        """The config. Raises ConfigError when anything is wrong with it."""
        if self.problems or self.config is None:
            raise ConfigError(self.source, self.problems)
        return self.config


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file, apply `key.sub=value` overrides, check everything.

    Raises ConfigError listing every problem, UserError when the file cannot be read.
    """
    return try_load_config(path, overrides).checked()


def try_load_config(path: Path, overrides: Sequence[str] = ()) -> ParseResult:
    """Like `load_config`, but what is wrong with the content is returned, in `problems`.

    Raises UserError when the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a zero byte in the path
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"cannot read the configuration {str(path)[:LONG_NAME]!r}: {why}; expected a YAML file in UTF-8, e.g. "
            "configs/quickstart.yaml"
        ) from error
    return try_parse_config(text, str(path), overrides)


def parse_config(text: str, source: str, overrides: Sequence[str] = ()) -> Config:
    """Like `load_config`, from the text itself; `source` is what messages call it."""
    return try_parse_config(text, source, overrides).checked()


def try_parse_config(text: str, source: str, overrides: Sequence[str] = ()) -> ParseResult:
    """Like `parse_config`, but nothing is raised: what is wrong is returned, in `problems`."""
    try:
        data = yaml_values.parse_yaml(text)
    except ValueError as error:
        return ParseResult(source, None, (f"not valid YAML: {error}",))
    if not isinstance(data, dict):
        return ParseResult(source, None, (f"expected a mapping of sections at the top, found {type(data).__name__}",))
    problems = [problem for override in overrides if (problem := apply_override(data, override))]
    between = references(data)
    wrong, config = _validate(data)
    return ParseResult(source, config, tuple(dict.fromkeys([*problems, *wrong, *between])))


MAX_CUTS = 500
"""Each validation cuts one wrong value; a section that then lacks a required key goes with the next."""
STAND_INS: Mapping[str, Any] = {"name": "unnamed", "agents": {}, "tasks": {}}
"""What takes the place of a required section that is missing."""


def _validate(data: dict[str, Any]) -> tuple[list[str], Config | None]:
    """(problems of the first validation, the config that is left when what is wrong is cut away).

    `data` is changed.
    """
    problems: list[str] | None = None
    for _ in range(MAX_CUTS):
        try:
            return problems or [], Config.model_validate(data)
        except ValidationError as error:
            found = error.errors()
        if problems is None:
            problems = [_describe(dict(item)) for item in found]
        if not _cut(data, found[0]["loc"]):
            break
    return problems or [], None


def _cut(data: dict[str, Any], place: Sequence[Any]) -> bool:
    """Take the deepest key of a wrong value's path out of the data. False where nothing can be done.

    A required section that is missing gets its stand-in.
    """
    if len(place) == 1 and place[0] in STAND_INS and place[0] not in data:
        data[place[0]] = STAND_INS[place[0]]
        return True
    holder: dict[str, Any] | None = None
    key: Any = ""
    at: Any = data
    for part in place:
        if not isinstance(at, dict) or part not in at:
            break
        holder, key, at = at, part, at[part]
    if holder is None:
        return False
    holder.pop(key, None)
    return True


TEMPLATE = ("{{", "{%")
"""How a value begins that is a text for certain: YAML could not read it."""


def apply_override(data: dict[str, Any], override: str) -> str | None:
    """Set one dotted key; returns a problem or None."""
    key, equals, value = override.partition("=")
    if not equals or not key:
        return f"override '{override}': expected key.sub=value"
    *parents, last = key.split(".")
    place: Any = data
    for parent in parents:
        if isinstance(place, dict) and place.get(parent) is None:
            place[parent] = {}
        place = place.get(parent) if isinstance(place, dict) else None
    if not isinstance(place, dict):
        return f"override '{override}': '{'.'.join(parents)}' is not a section"
    try:
        if value.lstrip().startswith(TEMPLATE):
            place[last] = yaml_values.checked_copy(value)
        else:
            place[last] = yaml_values.load_name(value) if last == "name" else yaml_values.parse_yaml(value)
    except ValueError as error:
        return f"override '{key}': the value is not valid YAML: {error}"
    return None


def _describe(item: Mapping[str, Any]) -> str:
    """One pydantic error as `dotted.path: what is wrong`."""
    place = tuple(part for part in item["loc"] if part != "[key]")
    path = ".".join(str(part) for part in place)
    kind, found = item["type"], item.get("input")
    if kind == "extra_forbidden":
        return f"{path}: unknown key{nearest(str(place[-1]), _keys_at(place[:-1]))}"
    if kind == "missing":
        return f"{path}: is required"
    if kind == "string_pattern_mismatch":
        return (
            f"{path}: a name has lower-case letters, digits, '-' and '_', starts with a letter or digit, "
            "at most 64 characters"
        )
    if kind == "literal_error" and isinstance(found, str):
        options = [option.strip(" '") for option in str(item["ctx"]["expected"]).replace(" or ", ", ").split(",")]
        return f"{path}: '{found}' is not one of {', '.join(options)}{nearest(found, options)}"
    if kind == "secret" or "remote" in place[:-1]:
        return f"{path}: {item['msg'][0].lower()}{item['msg'][1:]}"  # what was found may be a key
    shown = repr(found) if len(repr(found)) <= 60 else type(found).__name__
    return f"{path}: {item['msg'][0].lower()}{item['msg'][1:]}, found {shown}"


def _keys_at(path: Sequence[Any]) -> list[str]:
    """The valid keys of the section at this path."""
    section: Any = Config
    for part in path:
        if isinstance(section, type) and issubclass(section, BaseModel):
            if part not in section.model_fields:
                return []
            section = _unwrap(section.model_fields[part].annotation)
        if get_origin(section) is dict and part not in ("agents", "domains", "tasks"):
            section = _unwrap(get_args(section)[1])
    return list(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []


def _unwrap(kind: Any) -> Any:
    """`X | None` → X."""
    if get_origin(kind) in (Union, UnionType):
        return next(option for option in get_args(kind) if option is not type(None))
    return kind
