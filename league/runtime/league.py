"""A league in memory, in two parts: what never changes in a run, and the one value that does.

A phase of a round takes both and returns the next `LeagueState`. Weights are the exception: they lie in the bank and
are changed in place. The state goes through the database as JSON and comes back the same (`to_json`, `from_json`);
payoffs and ratings have tables of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from league.config import Config, LearningConfig
from league.errors import LeagueError
from league.learning.accounting import ModelSize, Spent, model_size
from league.learning.advantages import Credit
from league.learning.channels.gate import Gate
from league.learning.channels.replay import ReplayMemory
from league.learning.channels.waiting import WaitingReplies
from league.learning.objective import Objective
from league.matchmaking import Mixture
from league.model.bank import AdapterBank
from league.payoffs.channel_audit import ChannelAudit
from league.payoffs.channel_gains import ChannelGains
from league.payoffs.competence import Competence
from league.payoffs.met_problems import MetProblems
from league.payoffs.ratings import Ratings
from league.payoffs.view import PayoffView
from league.population import AlarmHistory, EvolutionHistory, Population
from league.population.best_versions import BestVersions, Improvement
from league.population.left_agents import LeftAgent
from league.rollouts import Player, ReplayKeeper, outcomes_of
from league.runtime.totals import Totals
from league.store.run import RunStore
from league.types import BASE, Backend, Episode, MatchResult, Score, Version
from tasks import Task
from tasks.domains import Domain


@dataclass(frozen=True)
class League:
    """What never changes in a run: its config, rules, base model with adapters, speakers and store."""

    config: Config
    domains: Mapping[str, Domain]
    tasks: Mapping[str, Task]
    mixtures: Mapping[str, Mixture]
    """Task → the matchmaking rules that share its training matches."""
    version_mixture: Mixture
    """The rules that share the contests between frozen versions."""
    bank: AdapterBank | None
    """The adapters over the base model. None when no agent has weights: such a league needs no model."""
    backend: Backend
    store: RunStore

    def weights(self) -> AdapterBank:
        """The adapters of a league in which somebody trains. Raises LeagueError in a scripted league."""
        if self.bank is None:
            raise LeagueError("this league has no model: every agent is scripted, so none has weights")
        return self.bank

    def objective(self) -> Objective:
        """What an update minimises."""
        return objective_of(self.config.learning)

    def gate(self, state: "LeagueState") -> Gate:
        """From whom a student may learn, by what is known now."""
        return Gate(state.competence, self.config.learning.channels.confidence)

    def texts_objective(self) -> Objective:
        """What is minimised where replies are learned as texts.

        One step a batch, no clipping of ratios, no bonus for entropy.
        """
        return replace(self.objective(), clip=None, entropy=0.0, epochs=1, minibatches=1)

    def size(self) -> ModelSize | None:
        """Weights that a token meets; None in a league without a model."""
        return None if self.bank is None else model_size(self.bank)

    def replays(self, players: Mapping[str, Player]) -> ReplayKeeper | None:
        """Who keeps matches of these players for replays; None where that is not asked for."""
        return ReplayKeeper(self.config.tasks, players) if self.config.league.keep == "replayable" else None

    def keeping(self, players: Mapping[str, Player], batch: str) -> Callable[[Episode, Score], object] | None:
        """What writes the transcripts of matches that are not trained on; None for none.

        `batch` names those that are played together."""
        replays = self.replays(players)
        return None if replays is None else lambda episode, score: replays.transcript(episode, score, {}, batch)

    def credit(self) -> Credit:
        """How returns become advantages."""
        chosen = self.config.learning
        return Credit(chosen.discount, chosen.normalise, chosen.leave_one_out)


@dataclass(frozen=True)
class LeagueState:
    """What changes from round to round: who exists, what was measured, and what the rules remember."""

    population: Population
    view: PayoffView = PayoffView()
    ratings: Ratings = Ratings()
    totals: Totals = Totals()
    """What was spent so far."""
    exams: Mapping[str, Any] = field(default_factory=dict)
    """JSON of the measurements before the first round ("start") and after the last ("end"), kept for ever."""
    alarms: AlarmHistory = AlarmHistory()
    evolution: EvolutionHistory = EvolutionHistory()
    competence: Competence = Competence()
    """How good everyone is alone in each domain, by answers that decide nothing but who may teach whom."""
    gains: ChannelGains = ChannelGains()
    """What each channel did to each student's unaided accuracy, per token: steers matches, and forgets."""
    audit: ChannelAudit = ChannelAudit()
    """What each channel caused on held-out problems since the run began: for people, and forgets nothing."""
    met: MetProblems = MetProblems()
    """Problems that training matches had: a second answer to one is not held out."""
    waiting: WaitingReplies = WaitingReplies()
    """Worked replies that the gate has held back so far."""
    replay: ReplayMemory = ReplayMemory()
    """Useful examples learned so far, to be learned again among new ones."""
    left: Mapping[str, LeftAgent] = field(default_factory=dict)
    """Agents that left, as they were: they may come back."""
    best: BestVersions = BestVersions()
    """Of each agent the version that was best at measurements, with `evaluation.keep_best`."""
    improvement: Improvement = Improvement()
    """How long the league has not got better, with `league.early_stopping`."""
    begun: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(task, domain) → matches for training so far, by which their problems are numbered."""
    clock: Mapping[str, float] = field(default_factory=dict)
    """Seconds by phase since the run began."""

    # ------------------------------------------------------------------------------------------- read from it
    def players(self) -> dict[str, Player]:
        """What every member brings to its seats."""
        return players_of(self.population)

    def opponents(self) -> list[Version]:
        """Every version that can be met: members, frozen pasts, and the base."""
        return [*self.population.live().values(), *self.population.frozen(), BASE]

    # --------------------------------------------------------------------------------------------- next states
    def counted(self, number: int, matches: Sequence[MatchResult]) -> "LeagueState":
        """Payoffs and ratings have taken what was played in round `number`."""
        outcomes = outcomes_of(matches)
        return replace(self, view=self.view.add(number, outcomes), ratings=self.ratings.update(outcomes))

    def spent(self, spent: Spent) -> "LeagueState":
        """More has been played, scored or learned."""
        return replace(self, totals=self.totals.more(spent))

    def measured(self, spent: Spent) -> "LeagueState":
        """More has been measured."""
        return replace(self, totals=self.totals.more(measured=spent))

    def after(self, seconds: Mapping[str, float]) -> "LeagueState":
        """Time has passed, by phase."""
        clock = dict(self.clock)
        for phase, more in seconds.items():
            clock[phase] = clock.get(phase, 0.0) + more
        return replace(self, clock=clock)

    # ------------------------------------------------------------------------------------------------ storage
    def to_json(self) -> dict[str, Any]:
        """All but payoffs and ratings, which have tables of their own."""
        return {
            "population": self.population.to_json(),
            **self.totals.to_json(),
            "marks": dict(self.exams),
            "guards": self.alarms.to_json(),
            "evolution": self.evolution.to_json(),
            "competence": self.competence.to_json(),
            "channel_gains": self.gains.to_json(),
            "waiting_replies": self.waiting.to_json(),
            "replay": self.replay.to_json(),
            "begun": [[task, domain, count] for (task, domain), count in self.begun.items()],
            "channel_audit": self.audit.to_json(),
            "met_problems": self.met.to_json(),
            "clock": dict(self.clock),
        } | self._later_json()

    def _later_json(self) -> dict[str, Any]:
        """What is only there where it was used: runs that use none of it are stored as ever."""
        found = {
            "left": [each.to_json() for each in self.left.values()],
            "best": self.best.to_json(),
            "improvement": self.improvement.to_json(),
        }
        return {name: value for name, value in found.items() if value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "LeagueState":
        """The state `to_json` gave, with empty payoffs and ratings. Runs of before evolution have none of it."""
        return cls(
            population=Population.from_json(data["population"]),
            totals=Totals.from_json(data),
            exams=dict(data["marks"]),
            alarms=AlarmHistory.from_json(data["guards"]),
            evolution=EvolutionHistory.from_json(data.get("evolution", {})),
            competence=Competence.from_json(data.get("competence", ())),
            gains=ChannelGains.from_json(data.get("channel_gains", ())),
            begun={(task, domain): count for task, domain, count in data.get("begun", ())},
            waiting=WaitingReplies.from_json(data.get("waiting_replies", ())),
            replay=ReplayMemory.from_json(data.get("replay", ())),
            audit=ChannelAudit.from_json(data.get("channel_audit")),
            met=MetProblems.from_json(data.get("met_problems", {})),
            left={row["member"]["name"]: LeftAgent.from_json(row) for row in data.get("left", ())},
            best=BestVersions.from_json(data.get("best", {})),
            improvement=Improvement.from_json(data.get("improvement", {})),
            clock=dict(data.get("clock", {})),
        )


def players_of(population: Population) -> dict[str, Player]:
    """What every member brings to its seats."""
    return {member.name: Player(member.system, member.hyper.temperature) for member in population.members.values()}


def objective_of(chosen: LearningConfig) -> Objective:
    """What an update minimises under these settings."""
    lessons, distillation = chosen.channels.lessons, chosen.channels.distillation
    terms: dict[str, float] = {}
    if lessons is not None:
        terms |= {"off_policy_clip": lessons.clip, "shaping": lessons.shaping}
    if distillation is not None:
        terms |= {"log_ratio_limit": distillation.limit}
    return Objective(
        aggregation=chosen.aggregation,
        clip=chosen.clip,
        entropy=chosen.entropy,
        epochs=chosen.epochs,
        minibatches=chosen.minibatches,
        max_grad_norm=chosen.max_grad_norm,
        weight_decay=chosen.weight_decay,
        betas=chosen.betas,
        tokens_per_microbatch=chosen.tokens_per_microbatch,
        checkpointing=chosen.checkpointing,
        **terms,
    )
