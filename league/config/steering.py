"""How a run is steered by itself: learning rates that follow a schedule, and when it stops early.

All of it is off by default.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from league.config.base import Count, Positive, Section, Weight
from league.types import NAME_PATTERN

METRIC = rf"^accuracy(/{NAME_PATTERN[1:-1]}(/{NAME_PATTERN[1:-1]})?)?$"


class ScheduleConfig(Section):
    """The factor on all learning rates of the rounds; a word alone is its kind.

    The formulas stand in league.learning.rate_schedule.
    """

    kind: Literal["constant", "linear", "cosine"] = "constant"
    warm_up: Count = 0
    """Rounds over which the rates rise to their full height; the first of the run, whoever joins later."""
    horizon: Positive | None = None
    """Rounds, or tokens trained on, at which the rates are down at `final`.

    null takes `league.rounds` or `league.trained_tokens`.
    """
    unit: Literal["rounds", "tokens"] = "rounds"
    final: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.1
    """The factor at the horizon and behind it."""

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value


class EarlyStoppingConfig(Section):
    """Stop once measurements on validation problems have not improved for a while."""

    metric: str = "accuracy"
    """`accuracy`, the mean over all who sit the exam; or `accuracy/AGENT`, or `accuracy/AGENT/DOMAIN`."""
    patience: Positive = 5
    """Measurements (every `evaluation.every` rounds) without an improvement after which the run stops."""
    minimum_improvement: Weight = 0.0
    """What counts as one: more than this above the best so far."""

    @field_validator("metric")
    @classmethod
    def _of_an_exam(cls, value: str) -> str:
        if not re.fullmatch(METRIC, value):
            raise PydanticCustomError("metric", "expected accuracy, accuracy/AGENT or accuracy/AGENT/DOMAIN")
        return value

    @property
    def parts(self) -> tuple[str, str | None, str | None]:
        """(accuracy, agent, domain)."""
        words = [*self.metric.split("/"), None, None]
        return str(words[0]), words[1], words[2]
