"""What an agent will see of a domain, what is accepted, and what a reply would earn.

Only the domain itself is made and asked. No model is loaded, and no task is played.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from league.config import Config, try_load_config
from league.errors import ConfigError, Foreign, Unjudged, UserError, nearest
from league.preflight.data_files import with_whole_paths
from league.registry import add_code_folders
from league.rollouts import with_instructions
from league.types import Message, Problem, Split
from tasks.domains import Domain, check_domain, make_domain


@dataclass(frozen=True)
class ReplyVerdict:
    """What the domain says of a reply to a problem."""

    text: str
    answer: str | None
    """The answer that was read in it; None where there is none."""
    right: bool | None
    """None where the verifier failed."""
    earns: float | None
    """The reward of a match with individual rewards: 1 or 0; None where the match would not count."""
    why: str


@dataclass(frozen=True)
class ShownProblem:
    """A problem as it is asked."""

    problem: Problem
    prompt: tuple[Message, ...]
    """Unaided, as contests and exams ask it."""
    max_tokens: int
    """The longest reply, in tokens."""
    reply: ReplyVerdict | None = None


@dataclass(frozen=True)
class ShownDomain:
    """Some problems of a domain."""

    name: str
    kind: str
    level: int
    split: Split
    problems: tuple[ShownProblem, ...]
    size: int
    """Problems of the split, counted no further than `COUNTED`."""
    about: str | None = None
    """What its data comes to and what of it was left out; None where it reads none."""


COUNTED = 1_000


def show_domain(
    path: Path,
    name: str,
    overrides: Sequence[str] = (),
    *,
    split: Split = "train",
    first: int = 0,
    count: int = 3,
    reply: str | None = None,
    agent: str | None = None,
) -> ShownDomain:
    """Problems `first`, `first + 1`, … of a split; `reply` is judged as one to each of them.

    With `agent`, that agent's own instructions stand before the task's. What is wrong elsewhere in the config does not
    matter. Raises UserError for a domain, an agent or a problem that is not there.
    """
    config = with_whole_paths(_readable(path, overrides, name), path.parent)
    if name not in config.domains:
        raise UserError(f"{path} has no domain '{name}'{nearest(name, list(config.domains))}")
    if agent is not None and agent not in config.agents:
        raise UserError(f"{path} has no agent '{agent}'{nearest(agent, list(config.agents))}")
    chosen = config.domains[name]
    if wrong := check_domain(chosen.kind, chosen.level, chosen.settings, alias=name):
        raise ConfigError(str(path), [f"domains.{name}.{line}" for line in wrong])
    domain = make_domain(chosen.kind, chosen.level, chosen.settings, seed=config.seed, alias=name)
    with Foreign(f"domain '{name}' fails"):
        size = domain.size_hint(split, max(COUNTED, first + count))
        problems = [domain.problem(split, index) for index in range(first, max(first + 1, min(size, first + count)))]
        prompts = [domain.prompt(problem) for problem in problems]
        verdicts = [None if reply is None else judged(domain, problem, reply) for problem in problems]
    system = config.agents[agent].system if agent is not None else None
    shown = tuple(
        ShownProblem(problem, with_instructions(prompt, system), domain.max_tokens, verdict)
        for problem, prompt, verdict in zip(problems, prompts, verdicts, strict=True)
    )
    return ShownDomain(name, chosen.kind, chosen.level, split, problems=shown, size=size, about=domain.about)


def judged(domain: Domain, problem: Problem, text: str) -> ReplyVerdict:
    """What a domain says of a reply."""
    answer = domain.extract(text)
    if domain.is_judged:
        return ReplyVerdict(text, answer, None, None, "a model judges this domain, and none is loaded here")
    try:
        right = domain.correct(problem, text)
        return ReplyVerdict(text, answer, right, float(right), domain.why(problem, text))
    except Unjudged as error:
        return ReplyVerdict(text, answer, None, None, f"{error}; such a match does not count")


def _readable(path: Path, overrides: Sequence[str], domain: str) -> Config:
    """The config's well-formed part.

    Raises ConfigError for what is wrong with the asked domain or an override, or where nothing can be read.
    """
    add_code_folders(Path.cwd(), path.parent)
    read = try_load_config(path, overrides)
    place = f"domains.{domain}"
    about = [
        line
        for line in read.problems
        if line.startswith((f"{place}.", f"{place}:", "domains:", "override ")) or _set_by(overrides, line)
    ]
    if read.config is None or about:
        raise ConfigError(read.source, about or read.problems or ["no section can be read"])
    return read.config


def _set_by(overrides: Sequence[str], problem: str) -> bool:
    """Whether a problem `key.sub: what` is about a key that an override sets, or one around or in it."""
    wrong = problem.partition(":")[0]
    keys = [override.partition("=")[0] for override in overrides]
    return any(f"{key}.".startswith(f"{wrong}.") or wrong.startswith(f"{key}.") for key in keys)
