"""The shape of the state that a round is committed with: its keys, and the kinds of their values.

Looked at where reading a run ended in an error though all its sums are right: then a hand or other code wrote it. What
runs of earlier versions did not have may be missing. Extra keys are no problem, and no value is judged beyond its kind.
"""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class Shape(BaseModel):
    """Kinds are exact: a text is no number, and true is none either."""

    model_config = ConfigDict(strict=True)


class Hyper(Shape):
    learning_rate: float
    kl: float = 0.0
    temperature: float = 1.0


class Member(Shape):
    name: str
    role: str
    version: str
    trains: bool
    domain: str | None = None
    system: str | None = None
    targets: list[str] | str | None = None
    twin: str | None = None
    hyper: Hyper


class Population(Shape):
    members: list[Member]
    pasts: dict[str, list[str]]


class Measured(Shape):
    sampled: int = 0
    read: int = 0
    scored: int = 0
    flops: dict[str, float] = {}


class Spent(Shape):
    trained: dict[str, dict[str, int]]
    flops: dict[str, float]
    verifier_calls: int
    given: dict[str, list[int]]
    verified: dict[str, list[int]]
    measured: Measured


class Exam(Shape):
    version: str
    domain: str
    split: str = ""
    correct: str


class Lesson(Shape):
    teacher: str
    student: str
    domain: str
    similar: int = 1
    control: str
    taught: str
    shuffled: str
    logprobs: dict[str, list[float]] | None = None


class Measurement(Shape):
    exams: list[Exam] = []
    lessons: list[Lesson] = []


class Guards(Shape):
    first: dict[str, dict[str, float | None]]
    later: dict[str, dict[str, float | None]] = {}
    good: dict[str, str]
    strikes: dict[str, int]
    quarantined: list[str]
    raised: list[str]


class Evolution(Shape):
    frozen_at: dict[str, int] = {}
    frozen_before: dict[str, int] = {}
    since: dict[str, int] = {}
    origin: dict[str, str] = {}
    start: dict[str, Hyper] = {}
    retired: list[tuple[str, int, int]] = []
    stored: list[str] = []
    merged: list[Any] = []


class LeagueSettings(Shape):
    rounds: int


class EvaluationSettings(Shape):
    final_problems: int


class Settings(Shape):
    """What is read of a run's settings where its state is."""

    seed: int
    domains: dict[str, Any]
    league: LeagueSettings
    evaluation: EvaluationSettings


class Audit(Shape):
    complete: bool = True
    cells: list[list[Any]] = []


class State(Shape):
    population: Population
    tokens: dict[str, int]
    spent: Spent | None = None
    marks: dict[str, Measurement]
    guards: Guards
    evolution: Evolution = Evolution()
    competence: list[tuple[str, str, float, float]] = []
    channel_gains: list[list[Any]] = []
    waiting_replies: list[list[Any]] = []
    replay: list[list[Any]] = []
    begun: list[tuple[str, str, int]] = []
    channel_audit: Audit | None = None
    met_problems: dict[str, list[int]] = {}
    clock: dict[str, float] = {}
    config: Settings


def state_problems(state: object) -> list[str]:
    """What is not of its shape, a line each: "population.members.0.name: input should be a valid string"."""
    try:
        State.model_validate_json(json.dumps(state))  # of JSON, where a list may stand for a tuple
    except ValidationError as error:
        found = [(".".join(str(part) for part in each["loc"]), each["msg"]) for each in error.errors()]
        return [f"{place or 'the whole'}: {what[0].lower()}{what[1:]}" for place, what in found]
    return []
