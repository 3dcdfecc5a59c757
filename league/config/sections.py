"""What can be configured: one strict model a section.

A section has its defaults and states what each value alone must satisfy. `league.config.reading` makes a `Config`
from YAML and overrides and checks the references between sections. Names that belong to other layers (task kinds,
domain kinds, matchmakers, the model) are checked in `league.preflight.checks`.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

import yaml
from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from league.config.base import LATER, Count, Decay, Matches, Name, Positive, Rate, Section, Weight
from league.config.evolution import EvolutionConfig
from league.config.steering import EarlyStoppingConfig, ScheduleConfig
from league.types import ROLES, Capabilities, PlayerRole

ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class ModelConfig(Section):
    name: str = "HuggingFaceTB/SmolLM2-135M-Instruct"
    """A folder, or a hub id."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    dtype: Literal["auto", "bfloat16", "float32"] = "auto"
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads of the tensor library.

    null measures nothing and takes the cores this process may use.
    """
    max_rows: Positive = 256
    """Rows generated at once: bounds the memory of the key-value cache."""


class AdapterConfig(Section):
    rank: Annotated[int, Field(ge=1, le=256)] = 8
    alpha: Annotated[float, Field(gt=0, le=1024)] = 16.0
    targets: Annotated[tuple[str, ...], Field(min_length=1)] = ALL_LINEAR

    @field_validator("targets")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in value if value.count(name) > 1})
        if twice:
            raise PydanticCustomError("twice", "layers are named twice: {names}", {"names": ", ".join(twice)})
        return value

    @model_validator(mode="after")
    def _loadable(self) -> "AdapterConfig":
        if self.alpha > 64 * self.rank:
            raise PydanticCustomError("alpha", "alpha / rank must be at most 64, as the adapter checks demand")
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
    """The NAME of the environment variable that holds the key, never the key.

    null where the server asks for none.
    """
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
            raise PydanticCustomError(
                "secret", "expected an address without user, password and query; name the key's variable in `key`"
            )
        return value

    @field_validator("key")
    @classmethod
    def _a_name(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Z][A-Z0-9_]{0,127}", value):
            raise PydanticCustomError(
                "secret",
                "expected the NAME of an environment variable (upper-case letters, digits, '_') that holds the key, "
                "not the key",
            )
        return value


class WarmupPhase(Section):
    """Supervised fine-tuning on worked solutions, before the first round."""

    problems: Count = 0
    """Per domain the agent learns; 0 skips the phase."""
    first: Count = 0
    """Index of the first of them in the train split.

    Agents whose ranges do not overlap have data of their own.
    """
    answers_only: bool = False
    """Show the bare answer line in place of worked solutions.

    The agent learns the format of an answer, no more.
    """
    epochs: Positive = 1
    batch: Positive = 8
    """Problems per agent and optimizer step."""
    learning_rate: Rate = 1e-3
    explain: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the targets asked as a teacher (explain the solved problem) instead of as a solver."""
    examples: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the targets asked with one worked example."""
    demonstrations: Count = 0
    """Warm-up prompts per task that can show its format (games).

    Each comes with a legal reply, drawn at random, so that replies are valid but not good.
    """

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.explain + self.examples > 1:
            raise PydanticCustomError(
                "shares", "explain and examples are shares of the same targets; together they must not exceed 1"
            )
        if self.answers_only and self.explain:
            raise PydanticCustomError(
                "shares", "a bare answer explains nothing; set explain to 0 or take answers_only away"
            )
        return self

    @property
    def end(self) -> int:
        """Index of the first train problem behind those of the phase."""
        return self.first + self.problems if self.problems else 0


class AgentConfig(Section):
    role: PlayerRole
    domain: str | None = None
    """The domain an expert or a remote player teaches; students and generalists train on all."""
    system: str | None = None
    adapter: AdapterConfig | None = None
    """null takes the run's `adapter`."""
    learning_rate: Rate | None = None
    train: bool = True
    """false freezes the agent after its warm-up."""
    checkpoint: Path | None = None
    """A PEFT folder to start from instead of a fresh adapter."""
    branch: Name | None = None
    """An agent whose warmed-up weights it starts from, before its own warm-up.

    Both need the same `adapter`.
    """
    warmup: WarmupPhase | None = None
    """Its own warm-up; null takes its role's phase of the section `warmup`."""
    says: dict[str, Weight] | None = None
    """A scripted agent's mixed strategy: text → weight."""
    script: str | None = None
    """A scripted agent's own function, "package.module:function"."""
    targets: Literal["league"] | tuple[Name, ...] | None = None
    """The agents that an exploiter is there to beat (main exploiter).

    "league" stands for everyone's frozen past; null meets anyone.
    """
    remote: RemoteConfig | None = None
    """Where a remote agent answers."""

    @property
    def can(self) -> Capabilities:
        """What its role means."""
        return ROLES[self.role]


class WarmupConfig(Section):
    expert: WarmupPhase = WarmupPhase(problems=320, explain=0.25)
    generalist: WarmupPhase = WarmupPhase(problems=0)
    student: WarmupPhase = WarmupPhase(problems=0)
    """Of students, and of every other role with weights."""


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
            raise PydanticCustomError(
                "nothing", "individual, team and competitive are all 0; nothing would be rewarded"
            )
        return self


class TaskConfig(Section):
    kind: str
    matches: Matches
    """Training matches per round."""
    matchmaking: dict[str, Weight] = {"uniform": 1.0}
    """Rule → weight in the mixture."""
    rules: dict[str, dict[str, Any]] = {}
    """Rule → its parameters."""
    roles: tuple[PlayerRole, ...] = tuple(role for role in get_args(PlayerRole) if ROLES[role].joins)
    """Who plays, in tasks that are not teaching: experts stay specialists unless named here."""
    seats: dict[str, tuple[str, ...]] = {}
    """Seat → the agents that may take it, in place of everyone with one of the `roles`.

    Once a seat is named, all keep their places: the first seat is never dealt to who is named for the second. When
    none is named, the order of the players is drawn for every match.
    """
    situations: dict[Name, SituationConfig] = {}
    """Reward mixes, one drawn per match; none means everyone's own result."""
    settings: dict[str, Any] = {}


class WorkedRepliesConfig(Section):
    """Students learn a teacher's right replies to problems (league.learning.channels.worked_replies)."""

    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    gate: bool | Literal["others"] = True
    """Learn only from who is surely better than the student in the domain.

    `others`: the student's own pasts need not be better. What it found out itself is learned (arXiv 2308.01825).
    """


class LessonsConfig(Section):
    """Students learn without the example what they got right with it (league.learning.channels.lessons)."""

    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    control_below: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Only problems that the student mostly failed without the example."""
    off_policy: Literal["nll", "clip", "shaped"] = "nll"
    """How replies drawn from another prompt are weighed."""
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """ε of `clip`."""
    shaping: Annotated[float, Field(gt=0, le=100)] = 0.1
    """γ of `shaped`."""


class DistillationConfig(Section):
    """Students move towards their teacher on their own replies. See league.learning.channels.distillation."""

    weight: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    gate: bool | Literal["others"] = True
    """Learn only from who is surely better than the student in the domain.

    `others`: the student's own pasts need not be better. What it found out itself is learned (arXiv 2308.01825).
    """
    bridge: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Unaided accuracy that a student must surely have reached in the domain; 0 starts cold."""
    limit: Annotated[float, Field(gt=0, le=100)] = 2.0
    """Bound of a token's log-ratio, in nats."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the student's unaided replies that are scored by the teacher."""


class ReplayConfig(Section):
    """Examples learned before, among new ones (league.learning.channels.replay)."""

    share: Annotated[float, Field(ge=0, le=0.95)] = 0.5
    """Of the samples of the steps on texts."""
    capacity: Positive = 64
    """Examples kept for each learner and domain, the newest."""


class ChannelsConfig(Section):
    """The ways in which agents learn in a round; null switches one off."""

    own_samples: bool = True
    """Each agent's own replies, by MAGRPO."""
    worked_replies: WorkedRepliesConfig | None = None
    lessons: LessonsConfig | None = None
    distillation: DistillationConfig | None = None
    learning_rate: Rate = 1e-3
    """Of worked replies and lessons, which are learned as texts, in steps of their own."""
    batch: Positive = 8
    """Their samples per optimizer step."""
    epochs: Positive = 1
    """Times that each of a round's worked replies and lessons is learned."""
    replay: ReplayConfig | None = None
    """Worked replies and lessons of earlier rounds among those of this one."""
    confidence: Annotated[float, Field(ge=0.5, lt=1, allow_inf_nan=False)] = 0.8
    """One-sided, of the bounds by which one player is surely better than another."""
    half_life: Annotated[float, Field(gt=0, le=1e6)] = 8.0
    """Rounds after which an agent's earlier answers count half."""
    pasts: bool = False
    """Frozen versions may teach too: in each domain whoever has the best lower bound."""


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
    """AdamW's two betas.

    A first one of 0 takes away the momentum, which in games drives policies into corners.
    """
    tokens_per_microbatch: Positive = 1024
    checkpointing: bool = False
    channels: ChannelsConfig = ChannelsConfig()
    schedule: Annotated[ScheduleConfig, Field(json_schema_extra=LATER)] = ScheduleConfig()
    """How the learning rates of the rounds change as the run goes on; the warm-up has rates of its own."""


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
    """Silent where a round has fewer than 50 answers to validation problems, or fewer in training.

    So in a run whose only exams are at both ends, and for specialists: those exams are on test problems.
    """
    flat_groups: AlarmConfig = AlarmConfig(warn=0.95)
    """Only warns by default: a student that has learned everything has no variance either."""
    quarantine_after: Positive = 3
    """Rounds in a row with a roll-back or a non-finite update after which an agent trains no more."""


class VersionMatchesConfig(Section):
    """Matches between frozen versions, in every contest that is played for training.

    They are never trained on. Only games between versions that do not move can certify a cycle, and a frozen version
    meets nobody but the learners otherwise.
    """

    matches: Matches = 0
    """Per task and measurement."""
    final_matches: Matches = 0
    """Further matches between frozen versions per task after the last round.

    They are played `matches` at a time, so that the rules can follow what they learn.
    """
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
    teaching_matches: Matches = 4
    """Teaching matches per expert and student in a measurement of Δ, with the shuffled control."""
    final_teaching_matches: Matches = 20
    """The same before the first round and after the last."""
    teaching_logprobs: bool = False
    """Measure Δ in log-probability of the true solution too: no sampling, so smaller effects show."""
    held_out_student: bool = True
    """Judge teachers also with a frozen copy of a warmed-up student that never trains."""
    versions: VersionMatchesConfig = VersionMatchesConfig()
    keep_best: Annotated[Literal["accuracy", "rating"] | None, Field(json_schema_extra=LATER)] = None
    """Keep the weights of each agent's best version so far.

    It is the best by accuracy on validation problems, or by its rating at a measurement. null keeps none.
    `league export --by validation` writes them.
    """


class LeagueConfig(Section):
    rounds: Positive = 20
    keep: Annotated[Literal["recent", "replayable"], Field(json_schema_extra=LATER)] = "recent"
    """What stays of the past: as the settings below say, or also all that `league replay` needs.

    "replayable" keeps the transcript of every match with its tokens, and the adapter of every version in one.
    `league status` says what that takes.
    """
    snapshot_every: Positive = 5
    """Rounds after its last snapshot at which an agent is frozen in any case.

    `evolution.snapshots` may freeze it sooner.
    """
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
    """Stop when this many tokens have been trained on, warm-up included; null sets no limit.

    It is what the arms of a comparison have in common.
    """
    shared_matches: Matches = 0
    """Matches a round, beyond the tasks' own, that go where they add most unaided accuracy per token.

    They are shared among the tasks with a weight for the rule `gain`.
    """
    shared_cap: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Largest share of the shared matches that one domain may get in a round."""
    skip_problems: Count = 0
    """Training problems per domain that matches leave out: those that a `checkpoint` has already learned."""
    max_hours: Annotated[float, Field(gt=0)] | None = None
    early_stopping: Annotated[EarlyStoppingConfig | None, Field(json_schema_extra=LATER)] = None
    """Stop when measurements no longer improve; null plays on to the other limits."""
    callbacks: Annotated[tuple[str, ...], Field(json_schema_extra=LATER)] = ()
    """What is called after each round, as "package.module:Name" (docs/python.md)."""

    @model_validator(mode="after")
    def _keeps_transcripts(self) -> Self:
        if self.keep == "replayable" and not (self.transcript_rounds and self.transcript_megabytes):
            raise PydanticCustomError(
                "keep", "keep: replayable needs transcripts; set transcript_rounds and transcript_megabytes above 0"
            )
        return self


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

    def warmup_of(self, name: str) -> WarmupPhase:
        """The warm-up of an agent: its own, or its role's."""
        agent = self.agents[name]
        if agent.warmup is not None:
            return agent.warmup
        if agent.can.specialist:
            return self.warmup.expert
        return self.warmup.generalist if agent.can.teaches_all else self.warmup.student

    @property
    def warmed_up(self) -> int:
        """Index of the first train problem behind every warm-up: matches take theirs from there on."""
        of_roles = (self.warmup.expert, self.warmup.generalist, self.warmup.student)
        own = (agent.warmup for agent in self.agents.values() if agent.warmup is not None)
        return max(phase.end for phase in (*of_roles, *own))

    def stored(self) -> dict[str, Any]:
        """The settings that every round's state names, without the run's name and place."""
        return self.model_dump(mode="json", exclude={"name", "runs"})

    def dump(self) -> str:
        """The resolved configuration as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
