"""Whether a run's warm-up can be done as it is written.

Who branches from whom, and phases that nobody takes. Names and circles of `branch` are `league.config.references`';
here is what needs the resolved config.
"""

from collections.abc import Iterator

from league.config import AdapterConfig, Config, WarmupPhase


def warm_up_problems(config: Config, new_run: bool) -> list[str]:
    """What is wrong with the warm-up. Of a run that has begun, agents may have left: their phase stays."""
    problems = list(_branches(config))
    if (
        new_run
        and config.warmup.generalist != WarmupPhase()
        and not any(a.can.teaches_all for a in config.agents.values())
    ):
        problems.append("warmup.generalist: no agent has role 'generalist'; remove it, or add such an agent")
    return problems


def _branches(config: Config) -> Iterator[str]:
    """A copy of an adapter has its shape. A checkpoint's is known once it is read, and taken as it is."""
    for name, agent in config.agents.items():
        origin = config.agents.get(agent.branch or "")
        if origin is None or origin.checkpoint is not None:
            continue
        mine, theirs = agent.adapter or config.adapter, origin.adapter or config.adapter
        if _shape(mine) != _shape(theirs):
            yield (
                f"agents.{name}.branch: its adapter ({_shown(mine)}) differs from that of '{agent.branch}' "
                f"({_shown(theirs)}); give both the same `adapter`"
            )


def _shape(adapter: AdapterConfig) -> tuple[int, float, frozenset[str]]:
    return adapter.rank, adapter.alpha, frozenset(adapter.targets)


def _shown(adapter: AdapterConfig) -> str:
    return f"rank {adapter.rank}, alpha {adapter.alpha:g}, targets {', '.join(sorted(adapter.targets))}"
