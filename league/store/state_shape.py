"""The shape of the state that a round is committed with: its keys, and the kinds of their values.

Looked at where reading a run ended in an error though all its sums are right: then a hand or other code wrote it. What
runs of earlier versions did not have may be missing. Extra keys are no problem, and no value is judged beyond its kind.
"""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class StoredShape(BaseModel):
    """Kinds are exact: a text is no number, and true is none either."""

    model_config = ConfigDict(strict=True)


class HyperShape(StoredShape):
    learning_rate: float
    kl: float = 0.0
    temperature: float = 1.0


class MemberShape(StoredShape):
    name: str
    role: str
    version: str
    trains: bool
    domain: str | None = None
    system: str | None = None
    targets: list[str] | str | None = None
    twin: str | None = None
    hyper: HyperShape


class PopulationShape(StoredShape):
    members: list[MemberShape]
    pasts: dict[str, list[str]]


class MeasuredShape(StoredShape):
    sampled: int = 0
    read: int = 0
    scored: int = 0
    flops: dict[str, float] = {}


class SpentShape(StoredShape):
    trained: dict[str, dict[str, int]]
    flops: dict[str, float]
    verifier_calls: int
    given: dict[str, list[int]]
    verified: dict[str, list[int]]
    measured: MeasuredShape


class ExamShape(StoredShape):
    version: str
    domain: str
    split: str = ""
    correct: str


class LessonShape(StoredShape):
    teacher: str
    student: str
    domain: str
    similar: int = 1
    control: str
    taught: str
    shuffled: str
    logprobs: dict[str, list[float]] | None = None


class MeasurementShape(StoredShape):
    exams: list[ExamShape] = []
    lessons: list[LessonShape] = []


class GuardsShape(StoredShape):
    first: dict[str, dict[str, float | None]]
    later: dict[str, dict[str, float | None]] = {}
    good: dict[str, str]
    strikes: dict[str, int]
    quarantined: list[str]
    raised: list[str]


class EvolutionShape(StoredShape):
    frozen_at: dict[str, int] = {}
    frozen_before: dict[str, int] = {}
    since: dict[str, int] = {}
    origin: dict[str, str] = {}
    start: dict[str, HyperShape] = {}
    retired: list[tuple[str, int, int]] = []
    stored: list[str] = []
    merged: list[Any] = []


class LeagueSettingsShape(StoredShape):
    rounds: int


class EvaluationSettingsShape(StoredShape):
    final_problems: int


class SettingsShape(StoredShape):
    """What is read of a run's settings where its state is."""

    seed: int
    domains: dict[str, Any]
    league: LeagueSettingsShape
    evaluation: EvaluationSettingsShape


class AuditShape(StoredShape):
    complete: bool = True
    cells: list[list[Any]] = []


class StateShape(StoredShape):
    population: PopulationShape
    tokens: dict[str, int]
    spent: SpentShape | None = None
    marks: dict[str, MeasurementShape]
    guards: GuardsShape
    evolution: EvolutionShape = EvolutionShape()
    competence: list[tuple[str, str, float, float]] = []
    channel_gains: list[list[Any]] = []
    waiting_replies: list[list[Any]] = []
    replay: list[list[Any]] = []
    begun: list[tuple[str, str, int]] = []
    channel_audit: AuditShape | None = None
    met_problems: dict[str, list[int]] = {}
    clock: dict[str, float] = {}
    config: SettingsShape


def state_problems(state: object) -> list[str]:
    """What is not of its shape, a line each: "population.members.0.name: input should be a valid string"."""
    try:
        StateShape.model_validate_json(json.dumps(state))  # of JSON, where a list may stand for a tuple
    except ValidationError as error:
        found = [(".".join(str(part) for part in each["loc"]), each["msg"]) for each in error.errors()]
        return [f"{place or 'the whole'}: {what[0].lower()}{what[1:]}" for place, what in found]
    return []
