"""References between the sections of a config: names that must exist, keys that belong together.

Works on raw data, so that these problems are listed together with the wrong shapes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast, get_args

from league.errors import nearest
from league.types import BASE, ROLES, PlayerRole


def references(data: Mapping[str, Any]) -> list[str]:
    """Problems between sections."""
    problems = []
    domains, agents, tasks = (_section(data, key) for key in ("domains", "agents", "tasks"))
    if isinstance(data.get("agents"), dict) and not agents:
        problems.append("agents: the population is empty; name at least one agent")
    if isinstance(data.get("tasks"), dict) and not tasks:
        problems.append("tasks: name at least one task, e.g. a 'contest' or a 'teaching' task")
    for name, agent in agents.items():
        if name == BASE.agent:
            problems.append(f"agents.{name}: the name is reserved for the base model; choose another")
        if not isinstance(agent, dict):
            continue
        domain = agent.get("domain")
        problems += _role(name, agent, list(domains))
        if isinstance(domain, str) and domain not in domains:
            problems.append(
                f"agents.{name}.domain: '{domain}' is not a domain of this run{nearest(domain, list(domains))}"
            )
        problems += _targets(name, agent, agents)
        problems += _branch(name, agent, agents)
    for name, task in tasks.items():
        if not isinstance(task, dict):
            continue
        seats = task.get("seats")
        for seat, named in seats.items() if isinstance(seats, dict) else ():
            problems += _seat(f"tasks.{name}.seats.{seat}", named, list(agents))
    league = data.get("league")
    shared = isinstance(league, dict) and league.get("shared_matches") not in (None, 0, "0")
    if tasks and not shared and all(isinstance(task, dict) and task.get("matches") == 0 for task in tasks.values()):
        problems.append("tasks: every task has `matches: 0`; nothing would be played")
    return problems


def _seat(place: str, named: Any, agents: Sequence[str]) -> Iterator[str]:
    """Problems with who is named for a seat."""
    if isinstance(named, list) and not named:
        yield f"{place}: nobody is named; name at least one agent, or leave the seat out"
    for agent in named if isinstance(named, list) else ():
        if str(agent) not in agents:
            yield f"{place}: '{agent}' is not an agent of this run{nearest(str(agent), list(agents))}"


def _role(name: str, agent: Mapping[str, Any], domains: Sequence[str]) -> Iterator[str]:
    """What an agent's role demands of its settings, and what it leaves without meaning."""
    role = agent.get("role")
    known = isinstance(role, str) and role in get_args(PlayerRole)
    can = ROLES[cast(PlayerRole, role)] if known else None
    speaks, scripted = can.speaks if can else None, (agent.get("says") is not None, agent.get("script") is not None)
    if speaks == "script" and scripted[0] == scripted[1]:
        yield (
            f"agents.{name}: a scripted agent needs either `says` (text → weight) "
            "or `script` ('package.module:function')"
        )
    if speaks != "script" and any(scripted):
        yield f"agents.{name}: only agents with role 'scripted' have `says` or `script`"
    if (speaks == "server") != (agent.get("remote") is not None):
        yield f"agents.{name}: role 'remote' and a section `remote` (base_url, model, key) belong together"
    idle = [key for key in ("adapter", "learning_rate", "checkpoint", "branch", "warmup") if agent.get(key) is not None]
    if idle and can is not None and not can.has_weights:
        yield f"agents.{name}.{idle[0]}: an agent with role '{role}' has no weights; remove it"
    if can is not None and can.specialist and agent.get("domain") is None:
        yield f"agents.{name}.domain: an expert needs a domain{nearest('', list(domains))}"
    if can is not None and can.teaches_all and agent.get("domain") is not None:
        yield (
            f"agents.{name}.domain: an agent with role '{role}' learns and teaches all domains; remove it, or choose "
            "role 'expert'"
        )
    if agent.get("targets") is not None and not (can is not None and can.targets):
        yield f"agents.{name}.targets: only agents with role 'exploiter' have targets"


def _targets(name: str, agent: Mapping[str, Any], agents: Mapping[str, Any]) -> list[str]:
    """An exploiter's targets are known agents other than itself."""
    targets, role = agent.get("targets"), agent.get("role")
    if not isinstance(targets, list) or role not in get_args(PlayerRole) or not ROLES[cast(PlayerRole, role)].targets:
        return []
    wrong = [target for target in targets if target == name or str(target) not in agents]
    others = [other for other in agents if other != name]
    problems = [
        f"agents.{name}.targets: '{target}' is not another agent of this run{nearest(str(target), others)}"
        for target in wrong
    ]
    return problems or ([] if targets else [f"agents.{name}.targets: name at least one agent, or write 'league'"])


def _branch(name: str, agent: Mapping[str, Any], agents: Mapping[str, Any]) -> Iterator[str]:
    """An agent branches from another one with weights, and origins do not run in a circle."""
    origin, place = agent.get("branch"), f"agents.{name}.branch"
    if origin is None:
        return
    if agent.get("checkpoint") is not None:
        yield f"{place}: an agent begins from `branch` or from `checkpoint`, not from both; remove one of them"
    if origin == name or str(origin) not in agents:
        others = [other for other in agents if other != name]
        yield f"{place}: '{origin}' is not another agent of this run{nearest(str(origin), others)}"
        return
    role = _of(agents, str(origin)).get("role")
    if role in get_args(PlayerRole) and not ROLES[cast(PlayerRole, role)].has_weights:
        yield f"{place}: '{origin}' has role '{role}' and no weights to begin from; name another agent"
    seen, at = [name], str(origin)
    while at in agents and at not in seen:
        seen.append(at)
        at = str(_of(agents, at).get("branch"))
    if at == name:
        yield f"{place}: {' ← '.join([*seen, name])} is a circle; let one of them begin by itself"


def _of(agents: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An agent's section; empty where it has the wrong shape."""
    found = agents[name]
    return found if isinstance(found, dict) else {}


def _section(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = data.get(key)
    return {str(name): value for name, value in found.items()} if isinstance(found, dict) else {}
