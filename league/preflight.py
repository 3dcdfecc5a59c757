"""Everything that can be wrong with a run, found before a model is loaded or a file is written.

The shapes and references of a config are `league.config`'s; here are the names that belong to other layers (tasks, domains,
matchmakers), the problem generators, and the model's folder: chat template, context length, adapter targets.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from league.backends.remote import key_of
from league.backends.scripted import imported, mixed_strategy
from league.config import AgentConfig, Config
from league.errors import ConfigError, Foreign, RunFolderError, UserError, nearest
from league.evaluation import EXAM
from league.matchmaking import check_rules
from league.model.fetch import ModelFacts, check_model, locate_model, to_stderr
from league.types import WITHOUT_WEIGHTS, Message
from tasks import any_number, check_task, make_task, seat_names
from tasks.domains import Domain, check_domain, make_domain
from tasks.teaching import explain_prompt

TURN_OVERHEAD = 12
"""Tokens that a chat template adds around one message, at most."""


@dataclass(frozen=True)
class Prepared:
    """What a checked config stands for, short of weights."""

    config: Config
    model: ModelFacts | None
    """None when no agent has weights."""
    domains: Mapping[str, Domain]
    tasks: Mapping[str, Any]


def prepare(
    config: Config, *, new_run: bool = True, speakers: Collection[str] | None = None, progress: Callable[[str], None] = to_stderr
) -> Prepared:
    """Check all and build what needs no weights. Raises ConfigError with every problem at once, or another UserError.

    `speakers`: the agents that will speak, whose keys must be there; None is everyone.
    """
    if new_run and (config.folder.is_symlink() or config.folder.exists()) and not _empty(config.folder):
        raise RunFolderError(
            f"run folder {config.folder} exists; continue it with `league resume {config.folder}`, or start another with name=NEW-NAME"
        )
    problems = _names(config) + _keys(config, speakers)
    domains: dict[str, Domain] = {}
    tasks: dict[str, Any] = {}
    if not problems:
        domains = {n: make_domain(d.kind, d.level, d.settings, seed=config.seed, alias=n) for n, d in config.domains.items()}
        problems += _generators(config, domains)
        for name, task in config.tasks.items():
            try:
                tasks[name] = make_task(task.kind, name, task.settings, domains)
            except UserError as error:
                problems += str(error).splitlines()
                continue
            problems += _seats(name, tasks[name], config)
    problems = problems or _evolution(config, tasks)
    if problems:
        raise ConfigError(str(config.name), problems)
    if all(agent.role in WITHOUT_WEIGHTS for agent in config.agents.values()):
        return Prepared(config, None, domains, tasks)
    path = locate_model(config.model.name, progress=progress)
    facts = check_model(path)
    problems = _model(config, facts, domains)
    if problems:
        raise ConfigError(f"{config.name} with model {config.model.name}", problems)
    return Prepared(config, replace(facts, path=path), domains, tasks)


def _empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


def _names(config: Config) -> list[str]:
    problems = []
    for name, domain in config.domains.items():
        problems += [f"domains.{name}: {line}" for line in check_domain(domain.kind, domain.level, domain.settings)]
    for name, agent in config.agents.items():
        problems += _script(name, agent)
    versions = config.evaluation.versions
    problems += [f"evaluation.versions.{line}" for line in check_rules(versions.matchmaking, versions.rules)]
    for name, task in config.tasks.items():
        problems += [f"tasks.{name}.{line}" for line in check_task(task.kind, task.settings)]
        problems += [f"tasks.{name}.{line}" for line in check_rules(task.matchmaking, task.rules)]
        if (
            task.kind != "teaching"
            and task.matches
            and not task.seats
            and not any(agent.role in task.roles for agent in config.agents.values())
        ):
            problems.append(f"tasks.{name}.roles: no agent has a role among {', '.join(task.roles)}; nobody would play")
    return list(dict.fromkeys(problems))


def _seats(name: str, task: Any, config: Config) -> Iterator[str]:
    """Named seats must exist, and every seat of the task must have somebody who may take it."""
    chosen = config.tasks[name]
    if not chosen.seats:
        return
    seats = seat_names(task, int(getattr(task, "players", 2)) if any_number(task) else len(task.seats()))
    for seat in chosen.seats:
        if seat not in seats:
            yield f"tasks.{name}.seats.{seat}: the task has no such seat{nearest(seat, list(seats))}"
    for seat in seats:
        if seat not in chosen.seats and task.relation != "teaching" and not any(a.role in chosen.roles for a in config.agents.values()):
            yield f"tasks.{name}.seats: nobody may take seat '{seat}'; name agents for it, or add a role to `roles`"


def _evolution(config: Config, tasks: Mapping[str, Any]) -> list[str]:
    """The task that evolution looks at must exist; only contests say whether a merged agent is as good as its parents."""
    chosen = config.evolution
    if chosen.task is not None and chosen.task not in (*tasks, EXAM):
        return [f"evolution.task: '{chosen.task}' is not a task of this run{nearest(chosen.task, [*tasks, EXAM])}"]
    if chosen.task == EXAM and not config.domains:
        return ["evolution.task: exams need at least one domain under `domains`"]
    judged = [chosen.task] if chosen.task else list(tasks)
    contests = [name for name in judged if name == EXAM or (tasks[name].relation == "contest" and not config.tasks[name].seats)]
    if chosen.merging is not None and not contests:
        return [
            f"evolution.merging: candidates are judged in contests that anyone may join, and {' and '.join(judged)} is none; name one in evolution.task"
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
        f"agents.{name}.remote.key: the environment variable {agent.remote.key} is not set, or holds no key that can be sent; export it"
        for name, agent in config.agents.items()
        if agent.remote is not None and (speakers is None or name in speakers) and key_of(agent.remote) is None
    ]


def _generators(config: Config, domains: Mapping[str, Domain]) -> list[str]:
    """Each domain must give its first problems and as many held-out ones as the evaluation asks for."""
    problems = []
    warmup = max(config.warmup.expert.problems, config.warmup.student.problems)
    apart = 2 if config.evolution.merging is not None and config.evolution.task == EXAM else 1  # candidates sit problems of their own
    wanted = {"train": max(warmup, 1), "validation": apart * config.evaluation.problems, "test": config.evaluation.final_problems}
    for name, domain in domains.items():
        try:
            for split, count in wanted.items():
                with Foreign("the generator fails"):
                    found = domain.size_hint(split, count)  # type: ignore[arg-type]
                if found < count:
                    problems.append(
                        f"domains.{name}: {count} distinct {split} problems are asked for, level {domain.level} has {found}; "
                        "raise the level, widen the settings or ask for fewer"
                    )
        except UserError as error:
            problems.append(f"domains.{name}: {error}")
    return problems


# -------------------------------------------------------------------------------------------------- the model
def _model(config: Config, facts: ModelFacts, domains: Mapping[str, Domain]) -> list[str]:
    problems = []
    if not facts.chat_template:
        problems.append(f"model.name: {config.model.name} has no chat template; choose an instruction-tuned model")
    problems += _targets(config, facts)
    needed, where = _longest(config, facts.path, domains)
    if needed > facts.context:
        problems.append(
            f"model.name: the longest prompt and reply ({where}) need about {needed} tokens, the context is {facts.context}; "
            "lower the level or the tokens of a reply, or choose a model with a longer context"
        )
    return problems


def _targets(config: Config, facts: ModelFacts) -> list[str]:
    """Adapter targets must name linear layers of the model; names come from the weight files' headers."""
    from safetensors import safe_open

    layers: set[str] = set()
    for file in sorted(facts.path.glob("*.safetensors")):
        with safe_open(file, framework="numpy") as opened:
            layers |= {name.split(".")[-2] for name in opened.keys() if name.endswith(".weight") and ".layers." in name}
    sections = {"adapter": config.adapter} | {f"agents.{n}.adapter": a.adapter for n, a in config.agents.items() if a.adapter}
    return [
        f"{place}.targets: the model has no layer '{target}'{nearest(target, sorted(layers))}"
        for place, adapter in sections.items()
        for target in adapter.targets
        if layers and target not in layers
    ]


def _longest(config: Config, path: Path, domains: Mapping[str, Domain]) -> tuple[int, str]:
    """(tokens of the longest prompt with its reply, what it is), over the first problems of every domain with a worked example."""
    from tokenizers import Tokenizer

    file = path / "tokenizer.json"
    if not file.exists():
        return 0, ""
    with Foreign(f"model file {file}: expected a tokenizer, found another; fetch the model again"):
        tokenizer = Tokenizer.from_file(str(file))

    def length(messages: tuple[Message, ...]) -> int:
        return sum(len(tokenizer.encode(message.content).ids) + TURN_OVERHEAD for message in messages)

    longest, where = 0, ""
    system = max((len(tokenizer.encode(agent.system).ids) for agent in config.agents.values() if agent.system), default=0)
    explain = max(
        (int(task.settings.get("explanation_tokens", 64)) for task in config.tasks.values() if task.kind == "teaching"), default=64
    )
    for name, domain in domains.items():
        for index in range(min(8, config.evaluation.problems)):
            problem = domain.problem("validation", index)
            taught = length(domain.prompt(problem, ((problem, domain.solution(problem)),))) + explain + domain.max_tokens
            asked = length(explain_prompt(domain, problem)) + explain
            if max(taught, asked) + system > longest:
                longest, where = max(taught, asked) + system, f"domain '{name}' with a worked example"
    return longest, where
