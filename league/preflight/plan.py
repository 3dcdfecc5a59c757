"""What a run of a checked config would be: who takes part, and what is played."""

from dataclasses import asdict, dataclass
from pathlib import Path

from league.preflight.checks import Prepared


@dataclass(frozen=True)
class PlannedAgent:
    """One agent of the run."""

    name: str
    role: str
    domain: str | None
    trains: bool
    begins: str
    """What it begins as: "new adapter", "PEFT folder …", "copy of …", "script", "server"."""


@dataclass(frozen=True)
class PlannedTask:
    """One task of the run."""

    name: str
    kind: str
    relation: str
    seats: tuple[str, ...]
    matches: int
    """For training, in each round."""


@dataclass(frozen=True)
class PlannedDomain:
    """One domain of the run."""

    name: str
    kind: str
    level: int
    field: str
    about: str | None = None
    """What its data comes to and what of it was left out; None where it reads none."""


@dataclass(frozen=True)
class RunPlan:
    """What a run would be."""

    name: str
    folder: str
    """Where it would be written."""
    model: str | None
    """None where no agent has weights."""
    parameters: int | None
    """Of the base model; None where it is not on this machine, or not needed."""
    model_here: bool
    """Whether the model needs no fetching."""
    agents: tuple[PlannedAgent, ...]
    domains: tuple[PlannedDomain, ...]
    tasks: tuple[PlannedTask, ...]
    rounds: int
    matches: int
    """For training in each round, the shared ones included."""

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def run_plan(prepared: Prepared) -> RunPlan:
    """The plan of a config that was checked."""
    config = prepared.config
    needs_model = any(agent.can.has_weights for agent in config.agents.values())
    agents = tuple(
        PlannedAgent(
            name=name,
            role=agent.role,
            domain=agent.domain,
            trains=agent.train and agent.can.has_weights,
            begins=_beginning(agent.can.speaks, agent.checkpoint, agent.branch),
        )
        for name, agent in config.agents.items()
    )
    tasks = tuple(
        PlannedTask(name, config.tasks[name].kind, task.relation, tuple(task.seats()), config.tasks[name].matches)
        for name, task in prepared.tasks.items()
    )
    return RunPlan(
        name=config.name,
        folder=str(config.folder),
        model=config.model.name if needs_model else None,
        parameters=prepared.model.parameters if prepared.model is not None else None,
        model_here=prepared.model is not None or not needs_model,
        agents=agents,
        domains=tuple(
            PlannedDomain(name, config.domains[name].kind, config.domains[name].level, domain.field, domain.about)
            for name, domain in prepared.domains.items()
        ),
        tasks=tasks,
        rounds=config.league.rounds,
        matches=sum(task.matches for task in tasks) + config.league.shared_matches,
    )


def _beginning(speaks: str, checkpoint: Path | str | None, branch: str | None) -> str:
    if speaks != "adapter":
        return {"script": "script", "server": "server"}[speaks]
    return f"PEFT folder {checkpoint}" if checkpoint else f"copy of {branch}" if branch else "new adapter"
