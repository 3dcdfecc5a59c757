"""Settings by which a run steers itself must have something to go by."""

from collections.abc import Iterator

from league.config import Config
from league.errors import nearest


def steering_problems(config: Config) -> Iterator[str]:
    """What a schedule, early stopping or the keeping of best versions lacks to have an effect."""
    yield from _schedule(config)
    if config.evaluation.keep_best == "accuracy" and not config.domains:
        yield "evaluation.keep_best: accuracy is measured in exams, which need `domains`; choose rating, or add one"
    rule = config.league.early_stopping
    if rule is None:
        return
    place = "league.early_stopping"
    learners = [name for name, agent in config.agents.items() if agent.can.has_weights and not agent.can.specialist]
    if not config.domains or not learners:
        yield (
            f"{place}: it watches exams on validation problems, which need `domains` and an agent with weights that is "
            "no expert; remove it, or add them"
        )
        return
    _, agent, domain = rule.parts
    if agent is not None and agent not in learners:
        yield f"{place}.metric: '{agent}' sits no exam on validation problems{nearest(agent, learners)}"
    if domain is not None and domain not in config.domains:
        yield f"{place}.metric: '{domain}' is not a domain of this run{nearest(domain, list(config.domains))}"


def _schedule(config: Config) -> Iterator[str]:
    """A horizon in tokens must be named somewhere, and lie behind the warm-up."""
    schedule, limits = config.learning.schedule, config.league
    if schedule.kind != "constant" and schedule.unit == "tokens" and not (schedule.horizon or limits.trained_tokens):
        yield "learning.schedule.horizon: name it in tokens, or set league.trained_tokens"
    horizon = schedule.horizon or limits.rounds
    if schedule.kind != "constant" and schedule.unit == "rounds" and schedule.warm_up >= horizon:
        yield (
            f"learning.schedule.warm_up: {schedule.warm_up} rounds reach the horizon of {horizon}; choose fewer, or a "
            "horizon further away"
        )
