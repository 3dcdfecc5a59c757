"""Strict configuration: YAML and `key.sub=value` overrides in, one resolved and checked value out.

Every problem is found before anything is loaded or written, and all are listed at once, each with its dotted path and, for a misspelt name,
the nearest valid one. This file checks shapes and the references between sections; names that belong to other layers (task kinds, domain
kinds, matchmakers, the model) are checked in `league.preflight`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from league.config_base import Count, Decay, Name, Positive, Rate, Section, Weight
from league.config_evolution import EvolutionConfig
from league.errors import ConfigError, UserError, nearest
from league.types import BASE, WITHOUT_WEIGHTS

ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class ModelConfig(Section):
    name: str = "HuggingFaceTB/SmolLM2-135M-Instruct"
    """A folder, or a hub id."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    threads: Positive | None = None
    """CPU threads of the tensor library; null measures nothing and takes the cores this process may use."""
    max_rows: Positive = 256
    """Rows generated at once: bounds the memory of the key-value cache."""


class AdapterConfig(Section):
    rank: Annotated[int, Field(ge=1, le=256)] = 8
    alpha: Annotated[float, Field(gt=0, le=1024)] = 16.0
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ALL_LINEAR

    @model_validator(mode="after")
    def _loadable(self) -> "AdapterConfig":
        if self.alpha > 64 * self.rank:
            raise PydanticCustomError("alpha", "alpha / rank must be at most 64, as the adapter gate demands")
        return self


class DomainConfig(Section):
    kind: str
    level: Positive = 1
    settings: dict[str, Any] = {}


class RemoteConfig(Section):
    """A player behind an OpenAI-compatible server."""

    base_url: str
    """Of the API, usually ending in /v1."""
    model: Annotated[str, Field(min_length=1)]
    """As the server calls it."""
    key: str | None = None
    """The NAME of the environment variable that holds the key, never the key; null where the server asks for none."""
    deadline: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 120.0
    """Seconds for one reply, all attempts and waits together; then the match is void."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 4
    parallel: Annotated[int, Field(ge=1, le=256)] = 8
    """Replies under way at once."""
    max_kilobytes: Positive = 1024
    """Of one streamed reply, with all that surrounds its text."""
    tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the server calls the length of a reply."""

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        parts = urlsplit(value) if value.isascii() and value.isprintable() and " " not in value else None
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise PydanticCustomError("secret", "expected the address of an API, e.g. https://host/v1")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise PydanticCustomError("secret", "expected an address without user, password and query; name the key's variable in `key`")
        return value

    @field_validator("key")
    @classmethod
    def _a_name(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Z][A-Z0-9_]{0,127}", value):
            raise PydanticCustomError(
                "secret", "expected the NAME of an environment variable (upper-case letters, digits, '_') that holds the key, not the key"
            )
        return value


class AgentConfig(Section):
    role: Literal["expert", "student", "co-player", "exploiter", "scripted", "remote"]
    domain: str | None = None
    """The domain an expert or a remote player teaches; students train on all."""
    system: str | None = None
    adapter: AdapterConfig | None = None
    """null takes the run's `adapter`."""
    learning_rate: Rate | None = None
    train: bool = True
    """false freezes the agent after its warm-up."""
    checkpoint: Path | None = None
    """A PEFT folder to start from instead of a fresh adapter."""
    says: dict[str, Weight] | None = None
    """A scripted agent's mixed strategy: text → weight."""
    script: str | None = None
    """A scripted agent's own function, "package.module:function"."""
    targets: Literal["league"] | tuple[Name, ...] | None = None
    """An exploiter's: the agents it is there to beat (main exploiter), "league" for everyone's frozen past; null meets anyone."""
    remote: RemoteConfig | None = None
    """Where a remote agent answers."""


class WarmupPhase(Section):
    """Supervised fine-tuning on worked solutions, before the first round."""

    problems: Count = 0
    """Per domain the agent learns; 0 skips the phase."""
    epochs: Positive = 1
    batch: Positive = 8
    """Problems per agent and optimizer step."""
    learning_rate: Rate = 1e-3
    explain: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the targets asked as a teacher (explain the solved problem) instead of as a solver."""
    examples: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the targets asked with one worked example."""
    demonstrations: Count = 0
    """Per task that can show its format (games): prompts with a legal reply, drawn at random, so that replies are valid but not good."""

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.explain + self.examples > 1:
            raise PydanticCustomError("shares", "explain and examples are shares of the same targets; together they must not exceed 1")
        return self


class WarmupConfig(Section):
    expert: WarmupPhase = WarmupPhase(problems=320, explain=0.25)
    student: WarmupPhase = WarmupPhase(problems=0)


class SituationConfig(Section):
    """A reward mix: weights of one's own result, the team's, and one's lead over the others."""

    weight: Annotated[float, Field(gt=0, le=1e9)] = 1.0
    """How often this situation is drawn, relative to the others."""
    individual: Weight = 1.0
    team: Weight = 0.0
    competitive: Weight = 0.0

    @model_validator(mode="after")
    def _rewards_something(self) -> Self:
        if self.individual == self.team == self.competitive == 0:
            raise PydanticCustomError("nothing", "individual, team and competitive are all 0; nothing would be rewarded")
        return self


class TaskConfig(Section):
    kind: str
    matches: Count
    """Training matches per round."""
    matchmaking: dict[str, Weight] = {"uniform": 1.0}
    """Rule → weight in the mixture."""
    rules: dict[str, dict[str, Any]] = {}
    """Rule → its parameters."""
    roles: tuple[Literal["expert", "student", "co-player", "exploiter", "scripted", "remote"], ...] = (
        "student",
        "co-player",
        "exploiter",
        "scripted",
        "remote",
    )
    """Who plays, in tasks that are not teaching: experts stay specialists unless named here."""
    seats: dict[str, tuple[str, ...]] = {}
    """Seat → the agents that may take it, in place of everyone with one of the `roles`. Once a seat is named, all keep their places: the
    first seat is never dealt to who is named for the second. None named: the order of the players is drawn for every match."""
    situations: dict[Name, SituationConfig] = {}
    """Reward mixes, one drawn per match; none means everyone's own result."""
    settings: dict[str, Any] = {}


class LearningConfig(Section):
    learning_rate: Rate = 2e-4
    teacher_learning_rate: Rate | None = None
    """null: as `learning_rate`."""
    kl: Weight = 0.0
    discount: Annotated[float, Field(ge=0, le=1)] = 1.0
    normalise: bool = False
    leave_one_out: bool = False
    aggregation: Literal["sequence", "token"] = "sequence"
    clip: Annotated[float, Field(gt=0, lt=1)] | None = None
    entropy: Weight = 0.0
    epochs: Positive = 1
    minibatches: Positive = 1
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    weight_decay: Weight = 0.0
    betas: tuple[Decay, Decay] = (0.9, 0.99)
    """AdamW's; a first one of 0 takes away the momentum, which in games drives policies into corners."""
    tokens_per_microbatch: Positive = 1024
    checkpointing: bool = False


class AlarmConfig(Section):
    """Two levels of one sign; null switches a level off. See league.learning.alarms."""

    warn: Annotated[float, Field(allow_inf_nan=False)] | None = None
    roll_back: Annotated[float, Field(allow_inf_nan=False)] | None = None


class AlarmsConfig(Section):
    kl: AlarmConfig = AlarmConfig(warn=0.1, roll_back=0.5)
    entropy_low: AlarmConfig = AlarmConfig(warn=0.3, roll_back=0.1)
    entropy_high: AlarmConfig = AlarmConfig(warn=2.0)
    length: AlarmConfig = AlarmConfig(warn=1.5, roll_back=3.0)
    capped: AlarmConfig = AlarmConfig(warn=0.2, roll_back=0.5)
    repetition: AlarmConfig = AlarmConfig(warn=0.3, roll_back=0.6)
    overfit: AlarmConfig = AlarmConfig(warn=0.10, roll_back=0.25)
    flat_groups: AlarmConfig = AlarmConfig(warn=0.95)
    """Only warns by default: a student that has learned everything has no variance either."""
    quarantine_after: Positive = 3
    """Rounds in a row with a roll-back or a non-finite update after which an agent trains no more."""


class VersionMatchesConfig(Section):
    """Matches between frozen versions, in every contest that is played for training. Never trained on: only games between versions that
    do not move can certify a cycle, and a frozen version meets nobody but the learners otherwise."""

    matches: Count = 0
    """Per task and measurement."""
    final_matches: Count = 0
    """Further ones per task after the last round, `matches` at a time, so that the rules can follow what they learn."""
    matchmaking: dict[str, Weight] = {"active": 0.5, "uniform": 0.5}
    """Rule → weight in the mixture."""
    rules: dict[str, dict[str, Any]] = {}
    """Rule → its parameters."""


class EvaluationConfig(Section):
    """Held-out measurements: greedy, unaided; never trained on."""

    every: Positive = 5
    """Rounds between validation measurements."""
    problems: Positive = 50
    """Validation problems per domain and agent."""
    final_problems: Positive = 200
    """Test problems per domain and agent, before the first round and after the last."""
    teaching_matches: Count = 4
    """Teaching matches per expert and student in a measurement of Δ, with the shuffled control."""
    final_teaching_matches: Count = 20
    """The same before the first round and after the last."""
    held_out_student: bool = True
    """Judge teachers also with a frozen copy of a warmed-up student that never trains."""
    versions: VersionMatchesConfig = VersionMatchesConfig()


class LeagueConfig(Section):
    rounds: Positive = 20
    snapshot_every: Positive = 5
    """Rounds after its last one at which an agent is frozen in any case; `evolution.snapshots` may freeze it sooner."""
    snapshots_kept: Positive = 4
    """Frozen snapshots per agent that stay in the population as opponents."""
    transcripts_per_round: Count = 4
    transcript_rounds: Count = 1000
    """Rounds whose transcripts stay in the database."""
    transcript_megabytes: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 200.0
    """Compressed size of all transcripts together; the oldest go first."""
    keep_rounds: Annotated[int, Field(ge=2)] = 2
    """Rounds whose adapters and optimizers stay on disk."""
    token_budget: Positive | None = None
    """Stop when this many tokens have been sampled and trained on, or null."""
    trained_tokens: Positive | None = None
    """Stop when this many tokens have been trained on, warm-up included, or null: what arms of a comparison have in common."""
    max_hours: Annotated[float, Field(gt=0)] | None = None


class Config(Section):
    name: Name
    seed: Count = 0
    runs: Path = Path("runs")
    model: ModelConfig = ModelConfig()
    adapter: AdapterConfig = AdapterConfig()
    domains: dict[Name, DomainConfig] = {}
    agents: dict[Name, AgentConfig]
    warmup: WarmupConfig = WarmupConfig()
    tasks: dict[Name, TaskConfig]
    learning: LearningConfig = LearningConfig()
    alarms: AlarmsConfig = AlarmsConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    league: LeagueConfig = LeagueConfig()
    evolution: EvolutionConfig = EvolutionConfig()

    @property
    def folder(self) -> Path:
        return self.runs / self.name

    def dump(self) -> str:
        """The resolved configuration as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


# -------------------------------------------------------------------------------------------------- reading
@dataclass(frozen=True)
class Draft:
    """What a file says, right or wrong: `problems`, and the well-formed part of it, whose names other layers can check at the same time."""

    source: str
    config: Config | None
    problems: tuple[str, ...]

    def checked(self) -> Config:
        """The config. Raises ConfigError when anything is wrong with it."""
        if self.problems or self.config is None:
            raise ConfigError(self.source, self.problems)
        return self.config


def load_config(path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file, apply `key.sub=value` overrides, check everything.

    Raises ConfigError listing every problem, UserError when the file cannot be read.
    """
    return load_draft(path, overrides).checked()


def load_draft(path: Path, overrides: Sequence[str] = ()) -> Draft:
    """Raises UserError when the file cannot be read; whatever is wrong with its content is in the draft."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the configuration {path}: {error}") from error
    return draft_config(text, str(path), overrides)


def parse_config(text: str, source: str, overrides: Sequence[str] = ()) -> Config:
    return draft_config(text, source, overrides).checked()


def draft_config(text: str, source: str, overrides: Sequence[str] = ()) -> Draft:
    """Read and check; nothing is raised."""
    try:
        data = yaml.load(text, Loader=_StrictLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2026-99-99
        return Draft(source, None, (f"not valid YAML: {' '.join(str(error).split())}",))
    if not isinstance(data, dict):
        return Draft(source, None, (f"expected a mapping of sections at the top, found {type(data).__name__}",))
    problems = [problem for override in overrides if (problem := _apply(data, override))]
    references = _references(data)
    wrong, config = _validate(data)
    return Draft(source, config, tuple(dict.fromkeys([*problems, *wrong, *references])))


CUTS = 500
"""Each look cuts one wrong value; a section that then lacks a required key goes with the next."""
EMPTY: Mapping[str, Any] = {"name": "unnamed", "agents": {}, "tasks": {}}


def _validate(data: dict[str, Any]) -> tuple[list[str], Config | None]:
    """(problems of the first look, the config that is left when what is wrong is cut away). `data` is changed."""
    problems: list[str] | None = None
    for _ in range(CUTS):
        try:
            return problems or [], Config.model_validate(data)
        except ValidationError as error:
            found = error.errors()
        if problems is None:
            problems = [_describe(dict(item)) for item in found]
        if not _cut(data, found[0]["loc"]):
            break
    return problems or [], None


def _cut(data: dict[str, Any], place: Sequence[Any]) -> bool:
    """Take the deepest key of a wrong value's path out of the data; a missing section becomes an empty one. False where nothing can be done."""
    if len(place) == 1 and place[0] in EMPTY and place[0] not in data:
        data[place[0]] = EMPTY[place[0]]
        return True
    holder: dict[str, Any] | None = None
    key: Any = ""
    at: Any = data
    for part in place:
        if not isinstance(at, dict) or part not in at:
            break
        holder, key, at = at, part, at[part]
    if holder is None:
        return False
    holder.pop(key, None)
    return True


TEXT = "tag:yaml.org,2002:str"
READ_AS_TEXT = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "timestamp"))
"""What YAML makes of 2024, yes, 1e3 and 2024-01-01, where we ask for a name."""


def _as_text(node: yaml.Node) -> None:
    if isinstance(node, yaml.ScalarNode) and node.tag in READ_AS_TEXT:
        node.tag = TEXT


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that reads keys and names as text, and refuses a key given twice: one of the two values would be lost silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, value_node in node.value:
            if isinstance(key_node, yaml.ScalarNode):
                _as_text(key_node)
                if key_node.value == "name":
                    _as_text(value_node)
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"key '{key_node.value}' given twice", key_node.start_mark)
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def _apply(data: dict[str, Any], override: str) -> str | None:
    """Set one dotted key; returns a problem or None."""
    key, equals, value = override.partition("=")
    if not equals or not key:
        return f"override '{override}': expected key.sub=value"
    *parents, last = key.split(".")
    place: Any = data
    for parent in parents:
        if isinstance(place, dict) and place.get(parent) is None:
            place[parent] = {}
        place = place.get(parent) if isinstance(place, dict) else None
    if not isinstance(place, dict):
        return f"override '{override}': '{'.'.join(parents)}' is not a section"
    try:
        place[last] = (
            yaml.load(f"name: {value}", Loader=_StrictLoader)["name"] if last == "name" else yaml.load(value, Loader=_StrictLoader)
        )
    except (yaml.YAMLError, ValueError, RecursionError):
        return f"override '{override}': the value is not valid YAML"
    return None


def _describe(item: Mapping[str, Any]) -> str:
    """One pydantic error as `dotted.path: what is wrong`."""
    place = tuple(part for part in item["loc"] if part != "[key]")
    path = ".".join(str(part) for part in place)
    kind, found = item["type"], item.get("input")
    if kind == "extra_forbidden":
        return f"{path}: unknown key{nearest(str(place[-1]), _keys_at(place[:-1]))}"
    if kind == "missing":
        return f"{path}: is required"
    if kind == "string_pattern_mismatch":
        return f"{path}: a name has lower-case letters, digits, '-' and '_', starts with a letter or digit, at most 64 characters"
    if kind == "literal_error" and isinstance(found, str):
        options = [option.strip(" '") for option in str(item["ctx"]["expected"]).replace(" or ", ", ").split(",")]
        return f"{path}: '{found}' is not one of {', '.join(options)}{nearest(found, options)}"
    if kind == "secret" or "remote" in place[:-1]:
        return f"{path}: {item['msg'][0].lower()}{item['msg'][1:]}"  # what was found may be a key
    shown = repr(found) if len(repr(found)) <= 60 else type(found).__name__
    return f"{path}: {item['msg'][0].lower()}{item['msg'][1:]}, found {shown}"


def _keys_at(path: Sequence[Any]) -> list[str]:
    """The valid keys of the section at this path."""
    section: Any = Config
    for part in path:
        if isinstance(section, type) and issubclass(section, BaseModel):
            if part not in section.model_fields:
                return []
            section = _unwrap(section.model_fields[part].annotation)
        if get_origin(section) is dict and part not in ("agents", "domains", "tasks"):
            section = _unwrap(get_args(section)[1])
    return list(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []


def _unwrap(kind: Any) -> Any:
    """`X | None` → X."""
    if get_origin(kind) in (Union, UnionType):
        return next(option for option in get_args(kind) if option is not type(None))
    return kind


# ----------------------------------------------------------------------------------------------- references
def _references(data: Mapping[str, Any]) -> list[str]:
    """Problems between sections. Works on raw data, so that they are listed together with the wrong shapes."""
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
        if agent.get("role") == "scripted" and (agent.get("says") is None) == (agent.get("script") is None):
            problems.append(f"agents.{name}: a scripted agent needs either `says` (text → weight) or `script` ('package.module:function')")
        if agent.get("role") != "scripted" and (agent.get("says") is not None or agent.get("script") is not None):
            problems.append(f"agents.{name}: only agents with role 'scripted' have `says` or `script`")
        if (agent.get("role") == "remote") != (agent.get("remote") is not None):
            problems.append(f"agents.{name}: role 'remote' and a section `remote` (base_url, model, key) belong together")
        idle = [key for key in ("adapter", "learning_rate", "checkpoint") if agent.get(key) is not None]
        if idle and agent.get("role") in WITHOUT_WEIGHTS:
            problems.append(f"agents.{name}.{idle[0]}: an agent with role '{agent.get('role')}' has no weights; remove it")
        if agent.get("role") == "expert" and domain is None:
            problems.append(f"agents.{name}.domain: an expert needs a domain{nearest('', list(domains))}")
        if domain is not None and domain not in domains:
            problems.append(f"agents.{name}.domain: '{domain}' is not a domain of this run{nearest(str(domain), list(domains))}")
        problems += _targets(name, agent, agents)
    for name, task in tasks.items():
        if not isinstance(task, dict):
            continue
        seats = task.get("seats")
        for seat, named in seats.items() if isinstance(seats, dict) else ():
            problems += _seat(f"tasks.{name}.seats.{seat}", named, list(agents))
    if tasks and all(isinstance(task, dict) and task.get("matches") == 0 for task in tasks.values()):
        problems.append("tasks: every task has `matches: 0`; nothing would be played")
    return problems


def _seat(place: str, named: Any, agents: Sequence[str]) -> Iterator[str]:
    """Problems with who is named for a seat."""
    if isinstance(named, list) and not named:
        yield f"{place}: nobody is named; name at least one agent, or leave the seat out"
    for agent in named if isinstance(named, list) else ():
        if str(agent) not in agents:
            yield f"{place}: '{agent}' is not an agent of this run{nearest(str(agent), list(agents))}"


def _targets(name: str, agent: Mapping[str, Any], agents: Mapping[str, Any]) -> list[str]:
    """Only exploiters have targets: known agents other than themselves."""
    targets = agent.get("targets")
    if targets is None:
        return []
    if agent.get("role") != "exploiter":
        return [f"agents.{name}.targets: only agents with role 'exploiter' have targets"]
    if not isinstance(targets, list):
        return []
    wrong = [target for target in targets if target == name or str(target) not in agents]
    others = [other for other in agents if other != name]
    problems = [f"agents.{name}.targets: '{target}' is not another agent of this run{nearest(str(target), others)}" for target in wrong]
    return problems or ([] if targets else [f"agents.{name}.targets: name at least one agent, or write 'league'"])


def _section(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = data.get(key)
    return {str(name): value for name, value in found.items()} if isinstance(found, dict) else {}
