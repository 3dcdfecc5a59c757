"""What all configuration sections share: strictness, and the kinds of numbers and names."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from league.types import NAME_PATTERN

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Decay = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Chance = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


class Section(BaseModel):
    """Unknown keys are errors, values are immutable. Lax types, because YAML reads `1e-3` as a string."""

    model_config = ConfigDict(extra="forbid", frozen=True)
