"""Whether every channel of learning that is on has something to learn from, and the other way round."""

from collections.abc import Iterator, Mapping

from league.config import Config
from league.types import Channel
from tasks import Task
from tasks.teaching import STUDENT


def channel_problems(config: Config, tasks: Mapping[str, Task]) -> Iterator[str]:
    """One line for each switch without an effect, with its remedy.

    `tasks` are those that could be made.
    """
    channels, league = config.learning.channels, config.league
    plays = {
        name: task.channel
        for name, task in tasks.items()
        if config.tasks[name].matches or (league.shared_matches and config.tasks[name].matchmaking.get("gain"))
    }
    for name, channel in plays.items():
        if channel == "worked_replies" and channels.worked_replies is None:
            yield (
                f"tasks.{name}: what teachers reply would be learned by nobody; switch the channel on with "
                "learning.channels.worked_replies: {}"
            )
    for name in (name for name, channel in plays.items() if channel == "worked_replies"):
        named = config.tasks[name].seats.get(STUDENT)
        able = [each for each, agent in config.agents.items() if agent.can.taught and agent.can.has_weights]
        if not any(config.agents[each].train for each in (able if named is None else named) if each in able):
            yield (
                f"tasks.{name}: no student that trains would learn what its teachers reply; add one, or set its "
                "`train: true`"
            )
    yield from _without_task(config, plays, "worked_replies", "worked_replies", channels.worked_replies is not None)
    yield from _without_task(config, plays, "lessons", "teaching", channels.lessons is not None)
    if channels.distillation is not None and not any(task.uses_domains for task in tasks.values()):
        yield (
            "learning.channels.distillation: no task has problems of a domain, so nobody answers any alone; add a "
            "contest, or remove it"
        )
    if channels.pasts and not {"lessons", "worked_replies"} & set(plays.values()) and channels.distillation is None:
        yield "learning.channels.pasts: nobody teaches in this run; add a task in which someone does, or remove it"
    sharing = [name for name, task in config.tasks.items() if task.matchmaking.get("gain")]
    if league.shared_matches and not sharing:
        yield (
            "league.shared_matches: no task has a weight for the rule `gain`; give it one under "
            "tasks.NAME.matchmaking, or set shared_matches to 0"
        )
    for name in sharing:
        if name in tasks and not tasks[name].uses_domains:
            yield (
                f"tasks.{name}.matchmaking.gain: the task has no domains, so nothing can be measured that it gains; "
                "use another rule"
            )
    if not channels.own_samples and not any((channels.worked_replies, channels.lessons, channels.distillation)):
        yield "learning.channels: every channel is off; nobody would learn. Switch one on"


def _without_task(config: Config, plays: Mapping[str, Channel], channel: Channel, kind: str, on: bool) -> Iterator[str]:
    """A channel that is on needs a task that is played and feeds it."""
    if on and channel not in plays.values():
        yield (
            f"learning.channels.{channel}: no task of kind '{kind}' is played, so there is nothing to learn; add one "
            f"under tasks, or remove learning.channels.{channel}"
        )
