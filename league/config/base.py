"""What all configuration sections share: strictness, and the kinds of numbers and names."""

import math
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from league.types import NAME_PATTERN


def _number(value: Any) -> Any:
    """Refuse what Python and YAML let pass for a number: true, false, infinity and NaN."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "expected a number")
    try:
        infinite = isinstance(value, (str, float)) and not math.isfinite(float(value))
    except ValueError:
        return value
    if infinite:
        raise PydanticCustomError("number", "expected a finite number")
    return value


LATER: JsonDict = {"later": True}
"""Marks a setting that came later: it is written out only where it is not at its default.

So a run that does not use it is stored as it always was, to the last bit.
"""
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Matches = Annotated[int, Field(ge=0, le=1_000_000)]
Rate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Decay = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Weight = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1e9)]
Chance = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types that a value may have by itself.

    X | None and Annotated[X, …] are looked into, containers are not.
    """
    if get_origin(annotation) is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for each in get_args(annotation):
            yield from _kinds(each)
    else:
        yield annotation


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, values are immutable.

    Types are lax, because YAML reads `1e-3` as a string.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_serializer(mode="wrap")
    def _without_later(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        found: dict[str, Any] = handler(self)
        for name, field in type(self).model_fields.items():
            if field.json_schema_extra == LATER and self.__dict__[name] == field.default:
                found.pop(name, None)
        return found

    @field_validator("*", mode="before")
    @classmethod
    def _numbers(cls, value: Any, info: ValidationInfo) -> Any:
        kinds = set(_kinds(cls.model_fields[str(info.field_name)].annotation))
        return _number(value) if kinds & {int, float} and bool not in kinds else value
