"""Learning rates and KL weights that a person changed between two rounds.

Agents carry their own in the round's state, where population-based training moves them. So a change of the config is
carried over: an agent that still has what the config gave it gets the new value, and one that was moved keeps its
distance, as a factor.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from league.config import AgentConfig, Config
from league.population import Member
from league.runtime.assembly import first_hyper
from league.runtime.league import LeagueState
from league.types import Hyper


def with_changed_rates(state: LeagueState, committed: Mapping[str, Any], config: Config) -> LeagueState:
    """The state under `config`; `committed` is the configuration that its round was committed with.

    It follows from those two alone, so a process that is killed before the next commit is no matter.
    """
    try:
        before = Config.model_validate({"name": config.name, **committed})
    except ValidationError:
        return state  # a run of another version of the code, whose settings cannot be compared
    population, evolution = state.population, state.evolution
    for member in state.population.members.values():
        old, new = _given(before, member), _given(config, member)
        if old != new:
            population = population.changed(member.name, hyper=_moved(member.hyper, old, new))
            if member.name in evolution.start:
                start = {**evolution.start, member.name: _moved(evolution.start[member.name], old, new)}
                evolution = replace(evolution, start=start)
    return replace(state, population=population, evolution=evolution)


def _given(config: Config, member: Member) -> Hyper:
    """What the config gives the agent; of one that was born by merging, what it gives its role."""
    if member.role == "past":
        return member.hyper
    return first_hyper(config, config.agents.get(member.name) or AgentConfig(role=member.role))


def _moved(hyper: Hyper, old: Hyper, new: Hyper) -> Hyper:
    rate = _scaled(hyper.learning_rate, old.learning_rate, new.learning_rate)
    return replace(hyper, learning_rate=min(rate, 1.0), kl=_scaled(hyper.kl, old.kl, new.kl))


def _scaled(value: float, old: float, new: float) -> float:
    """`new` where the value is still `old`, else as far from it as it was from `old`."""
    return new if value == old or not old else value * (new / old)
