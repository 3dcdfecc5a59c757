"""Everything that can be wrong with a run, found before a model is loaded or a file is written.

The shapes and references of a config are `league.config`'s; here are the names that belong to other layers (tasks,
domains, matchmakers), the problem generators and the place of the run. The model's folder is
`league.preflight.model`'s.
"""

import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from league.backends.remote import key_of
from league.backends.scripted import imported, mixed_strategy
from league.config import AgentConfig, Config, TaskConfig, try_load_config
from league.errors import ConfigError, Foreign, RunFolderError, UserError, nearest
from league.matchmaking import check_rules
from league.model.fetch import to_stderr
from league.model.folder import ModelFacts
from league.preflight.channels import channel_problems
from league.preflight.model import device_problems, facts_of, model_problems, targets_by_files, tried_model
from league.preflight.prompt_lengths import too_long
from league.preflight.steering import steering_problems
from league.preflight.warm_up import warm_up_problems
from league.registry import add_code_folders
from league.rollouts.matches import could_share_id
from league.store.opening import run_around
from league.types import EXAM
from tasks import Task, check_task, make_task
from tasks.domains import Domain, check_domain, make_domain
from tasks.teaching import STUDENT, TEACHER


@dataclass(frozen=True)
class Prepared:
    """What a checked config stands for, short of weights."""

    config: Config
    model: ModelFacts | None
    """None when no agent has weights."""
    domains: Mapping[str, Domain]
    tasks: Mapping[str, Task]
    code: Path | None = None
    """The folder of the config's file, where a user's own code may lie; None without a file."""


def prepare_file(path: Path, overrides: Sequence[str] = (), *, progress: Callable[[str], None] = to_stderr) -> Prepared:
    """A new run from a file: all that is wrong with it is listed together.

    Both what is wrong with its shapes, and with what its well-formed part names.
    """
    add_code_folders(Path.cwd(), path.parent)
    read = try_load_config(path, overrides)
    if read.config is None:
        read.checked()
        raise ConfigError(read.source, ["no section can be read"])
    source = read.source if read.problems else None
    return replace(prepare(read.config, known=read.problems, source=source, progress=progress), code=path.parent)


def prepare(
    config: Config,
    *,
    new_run: bool = True,
    speakers: Collection[str] | None = None,
    known: Sequence[str] = (),
    source: str | None = None,
    progress: Callable[[str], None] = to_stderr,
) -> Prepared:
    """Check all and build what needs no weights.

    Raises ConfigError with every problem at once, or another UserError. `speakers`: the agents that will speak, whose
    keys must be there; None is everyone. `known` are problems found before, of which `config` is the well-formed
    rest. What takes a while (downloading a model, drawing problems) is done only where nothing else is wrong.
    """
    blocked = _place(config.folder) if new_run else []
    if (
        new_run
        and not known
        and not blocked
        and (config.folder.is_symlink() or config.folder.exists())
        and not _empty(config.folder)
    ):
        raise RunFolderError(
            f"run folder {config.folder} exists; continue it with `league resume {config.folder}`, or start another "
            "with name=NEW-NAME"
        )
    problems = [*known, *blocked, *_names(config), *_keys(config, speakers)]
    domains = {
        name: make_domain(domain.kind, domain.level, domain.settings, seed=config.seed, alias=name)
        for name, domain in config.domains.items()
        if not check_domain(domain.kind, domain.level, domain.settings)
    }
    tasks, found = _tasks(config, domains)
    problems += found + _players(config, tasks, known) + device_problems(config.model.device)
    problems += [*warm_up_problems(config, new_run), *steering_problems(config)]
    if len(tasks) == len(config.tasks):
        problems += [*_evolution(config, tasks), *channel_problems(config, tasks)]
    facts: ModelFacts | None = None
    if any(agent.can.has_weights for agent in config.agents.values()):
        try:
            facts = facts_of(config.model.name, bool(problems), progress)
        except UserError as error:
            if not problems:
                raise
            problems.append(f"model.name: {error}")
        problems += model_problems(config, facts, new_run) if facts is not None else []
        if problems and facts is not None:
            problems += targets_by_files(config, facts)
    if not problems:
        problems += _generators(config, domains)
    if not problems and facts is not None:
        tried, found = tried_model(config, facts)
        problems += found
        if tried is not None and not found:
            problems += too_long(config, facts.context, tried.chat.encode, domains=domains, tasks=tasks)
    if problems:
        raise ConfigError(
            source or f"{config.name}" + (f" with model {config.model.name}" if facts else ""),
            list(dict.fromkeys(problems)),
        )
    if facts is not None and config.model.device in ("cuda", "mps"):
        from league.model.base import require_device

        require_device(config.model.device)
    return Prepared(config, facts, domains, tasks)


def _tasks(config: Config, domains: Mapping[str, Domain]) -> tuple[dict[str, Task], list[str]]:
    """(the tasks that can be made, what is wrong with the others)."""
    tasks: dict[str, Task] = {}
    problems: list[str] = []
    for name, task in config.tasks.items():
        if name == EXAM:
            problems.append(
                f"tasks.{name}: the name is reserved for the exams, whose payoffs it would mix with; choose another"
            )
        lines = check_task(task.kind, task.settings)
        problems += [f"tasks.{name}.{line}" for line in lines]
        if not lines and (domains or not config.domains):
            try:
                made = make_task(task.kind, name, task.settings, domains)
            except UserError as error:
                problems += str(error).splitlines()
                continue
            if made.relation == "teaching" and made.seats() != (TEACHER, STUDENT):
                problems.append(
                    f"tasks.{name}.kind: {task.kind} has the relation 'teaching', which needs the seats "
                    f"'{TEACHER}' and '{STUDENT}', found {', '.join(made.seats())}; name them so or choose another "
                    "relation"
                )
            else:
                tasks[name] = made
    return tasks, problems + list(_same_match_ids(config.tasks))


def _same_match_ids(names: Collection[str]) -> Iterator[str]:
    """Ids are `round-task-place…`, so a task called like another with a place could share one."""
    for first in names:
        for other in names:
            if could_share_id(first, other):
                yield f"tasks.{other}: its matches could not be told from those of '{first}'; choose another name"


def _players(config: Config, tasks: Mapping[str, Task], known: Sequence[str]) -> list[str]:
    """Somebody must be there to play every task. Says nothing while agents are wrong."""
    problems: list[str] = []
    if any(line.startswith("agents") for line in known):
        return problems
    roles = {agent.role for agent in config.agents.values()}
    for name, task in tasks.items():
        chosen = config.tasks[name]
        problems += _seats(name, task, config)
        problems += _readers(name, task, config)
        if task.relation == "teaching":
            problems += _teaching(name, chosen, config.agents, config.learning.channels.pasts)
        elif chosen.matches and not chosen.seats and not roles & set(chosen.roles):
            problems.append(
                f"tasks.{name}.roles: no agent has a role among {', '.join(chosen.roles)}; nobody would play"
            )
    return problems


def _teaching(name: str, chosen: TaskConfig, agents: Mapping[str, AgentConfig], pasts: bool) -> Iterator[str]:
    """Teaching needs a teacher with a domain and a student, by role or by name.

    Settings that mean nothing to it are refused.
    """
    for agent in chosen.seats.get(TEACHER, ()):
        if agent in agents and not _teaches_something(agents[agent]):
            yield (
                f"tasks.{name}.seats.{TEACHER}: '{agent}' has no domain to teach; give it one under "
                f"agents.{agent}.domain"
            )
    able = [each for each, agent in agents.items() if agent.can.teaches and _teaches_something(agent)]
    taught = [each for each, agent in agents.items() if agent.can.taught]
    teachers, students = chosen.seats.get(TEACHER, able), chosen.seats.get(STUDENT, taught)
    if chosen.matches and not teachers:
        yield f"tasks.{name}: teaching needs at least one agent with role 'expert' or 'generalist'"
    elif chosen.matches and not students:
        yield f"tasks.{name}: teaching needs at least one agent with role 'student' or 'generalist'"
    elif chosen.matches and {*teachers} == {*students} and len({*teachers}) == 1:
        (alone,) = {*teachers}
        if alone in agents and agents[alone].can.teaches_all and not pasts:
            yield (
                f"tasks.{name}: '{alone}' is the only teacher and the only student; add an expert or a student, or let "
                "its own past teach it (learning.channels.pasts: true)"
            )
    # runs that began before there were generalists do not name them
    if {*chosen.roles, "generalist"} != set(TaskConfig.model_fields["roles"].default):
        yield (
            f"tasks.{name}.roles: experts teach and students learn whatever the roles; name others under "
            f"tasks.{name}.seats"
        )
    if chosen.situations:
        yield (
            f"tasks.{name}.situations: a teacher earns the improvement and a student its own answer in any "
            "situation; remove them"
        )


def _teaches_something(agent: AgentConfig) -> bool:
    return agent.domain is not None or agent.can.teaches_all


def _place(folder: Path) -> list[str]:
    """The run's folder must be one that can be made.

    Tried where the first folder above it exists; nothing is left behind.
    """
    place = folder.parent
    try:
        while not _there(place):
            place = place.parent
        if around := run_around(folder.parent):
            return [f"runs: {folder} would lie in the run {around}; name another place with runs=FOLDER"]
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=place):
            return []
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        reason = error.strerror if isinstance(error, OSError) else error
        return [f"runs: no folder can be made in {str(place)!r} ({reason}); name another place with runs=FOLDER"]


def _there(place: Path) -> bool:
    """Whether something has this name, a broken link too. Raises OSError where that cannot be told."""
    try:
        os.lstat(place)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


def _names(config: Config) -> list[str]:
    problems = []
    for name, domain in config.domains.items():
        problems += [f"domains.{name}.{line}" for line in check_domain(domain.kind, domain.level, domain.settings)]
    for name, agent in config.agents.items():
        problems += _script(name, agent)
    versions = config.evaluation.versions
    problems += [f"evaluation.versions.{line}" for line in check_rules(versions.matchmaking, versions.rules)]
    for name, task in config.tasks.items():
        problems += [f"tasks.{name}.{line}" for line in check_rules(task.matchmaking, task.rules)]
    return list(dict.fromkeys(problems))


def _seats(name: str, task: Task, config: Config) -> Iterator[str]:
    """Named seats must exist, and every seat of the task must have somebody who may take it."""
    chosen = config.tasks[name]
    if not chosen.seats:
        return
    seats = task.seat_names(task.seat_count)
    left = task.relation != "teaching" and any(seat not in chosen.seats for seat in seats)
    for agent, about in config.agents.items():
        if about.targets and (
            any(agent in named for named in chosen.seats.values()) or left and about.role in chosen.roles
        ):
            yield (
                f"agents.{agent}.targets: seats of task '{name}' are dealt by `tasks.{name}.seats`, whoever an "
                "exploiter targets; "
                "keep the agent out of its seats and roles, or remove the targets"
            )
    for seat in chosen.seats:
        if seat not in seats:
            yield f"tasks.{name}.seats.{seat}: the task has no such seat{nearest(seat, list(seats))}"
    for seat in seats:
        if (
            seat not in chosen.seats
            and task.relation != "teaching"
            and not any(a.role in chosen.roles for a in config.agents.values())
        ):
            yield f"tasks.{name}.seats: nobody may take seat '{seat}'; name agents for it, or add a role to `roles`"


def _readers(name: str, task: Task, config: Config) -> Iterator[str]:
    """Where a reward reads a seat's likelihoods, whoever may take it needs an adapter."""
    chosen = config.tasks[name]
    for seat in task.read_seats:
        for agent, about in config.agents.items():
            taught = about.can.taught if task.relation == "teaching" else about.role in chosen.roles
            if (agent in chosen.seats[seat] if seat in chosen.seats else taught) and not about.can.has_weights:
                yield (
                    f"tasks.{name}: its reward reads the likelihoods of seat '{seat}', and '{agent}' ({about.role}) "
                    "has none; give the seat to agents with adapters, or choose teacher_reward: accuracy"
                )


def _evolution(config: Config, tasks: Mapping[str, Task]) -> list[str]:
    """The task that evolution looks at must exist.

    Only contests say whether a merged agent is as good as its parents.
    """
    chosen = config.evolution
    if chosen.task is not None and chosen.task not in (*tasks, EXAM):
        return [f"evolution.task: '{chosen.task}' is not a task of this run{nearest(chosen.task, [*tasks, EXAM])}"]
    if chosen.task == EXAM and not config.domains:
        return ["evolution.task: exams need at least one domain under `domains`"]
    judged = [chosen.task] if chosen.task else list(tasks)
    contests = [
        name for name in judged if name == EXAM or (tasks[name].relation == "contest" and not config.tasks[name].seats)
    ]
    if chosen.merging is not None and not contests:
        return [
            f"evolution.merging: candidates are judged in contests that anyone may join, and {' and '.join(judged)} "
            "is none; name one in evolution.task"
        ]
    return []


def _script(name: str, agent: AgentConfig) -> list[str]:
    """A script must be importable, a mixed strategy must have weight."""
    try:
        if agent.says is not None:
            mixed_strategy(agent.says)
        elif agent.script is not None:
            imported(agent.script)
    except UserError as error:
        return [f"agents.{name}: {error}"]
    return []


def _keys(config: Config, speakers: Collection[str] | None) -> list[str]:
    """The keys of remote players, by the names of their environment variables."""
    return [
        f"agents.{name}.remote.key: the environment variable {agent.remote.key} is not set, or holds no key that can "
        "be sent; export it"
        for name, agent in config.agents.items()
        if agent.remote is not None and (speakers is None or name in speakers) and key_of(agent.remote) is None
    ]


def _generators(config: Config, domains: Mapping[str, Domain]) -> list[str]:
    """Each domain must give its first problems, and as many held-out ones as the evaluation asks for."""
    problems = []
    apart = (
        2 if config.evolution.merging is not None and config.evolution.task == EXAM else 1
    )  # candidates sit problems of their own
    wanted = {
        "train": max(config.warmed_up, 1),
        "validation": apart * config.evaluation.problems,
        "test": config.evaluation.final_problems,
    }
    for name, domain in domains.items():
        try:
            for split, count in wanted.items():
                with Foreign("the generator fails"):
                    found = domain.size_hint(split, count)  # type: ignore[arg-type]
                if found < count:
                    problems.append(
                        f"domains.{name}: {count} distinct {split} problems are asked for, level {domain.level} has "
                        f"{found}; "
                        "raise the level, widen the settings or ask for fewer"
                    )
        except UserError as error:
            problems.append(f"domains.{name}: {error}")
    return problems
