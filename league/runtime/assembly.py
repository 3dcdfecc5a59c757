"""A league in memory: the base model, its adapters, the population, the rules, the store. Made new
from a config, or put back from a run folder.

Both ways end in the same `League`; nothing else knows which one it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from league.backends.local import LocalBackend
from league.backends.remote import Journal, RemoteBackend
from league.backends.router import RouterBackend
from league.backends.scripted import ScriptedBackend, imported, mixed_strategy
from league.config import AgentConfig, Config, load_config
from league.errors import LeagueError, RunFolderError
from league.learning.advantages import Credit
from league.learning.alarms import AlarmHistory
from league.learning.objective import Objective
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.peft_io import import_peft
from league.model.score import score
from league.payoffs.ratings import Ratings
from league.payoffs.view import HISTORY, PayoffView
from league.population import Evolution, Member, Population
from league.preflight.checks import Prepared
from league.registry import look_in
from league.rollouts import Player, outcomes_of
from league.runtime.checkpoint import load_adapter
from league.seeds import derive
from league.store.commit import TRIM_EVERY
from league.store.records import Limits
from league.store.run import RunStore
from league.types import BASE, WITHOUT_WEIGHTS, Backend, Hyper, MatchResult, Sampling, Version
from tasks import Task
from tasks.domains import Domain
from tasks.writing.fluency import Perplexity


@dataclass
class League:
    """Everything a round needs. `population`, `view` and `ratings` are values replaced after each
    round."""

    config: Config
    domains: Mapping[str, Domain]
    tasks: Mapping[str, Task]
    base: BaseModel | None
    """None when no agent has weights: such a league needs no model."""
    bank: AdapterBank | None
    backend: Backend
    store: RunStore
    population: Population
    view: PayoffView
    ratings: Ratings
    tokens: dict[str, int] = field(default_factory=lambda: {"sampled": 0, "trained": 0})
    marks: dict[str, Any] = field(default_factory=dict)
    """JSON of the exams and lessons at the start and at the end, kept for ever."""
    guards: AlarmHistory = field(default_factory=AlarmHistory)
    evolution: Evolution = field(default_factory=Evolution)
    clock: dict[str, float] = field(default_factory=dict)
    """Seconds by phase since the run began."""

    def players(self) -> dict[str, Player]:
        return players_of(self.population)

    def count(self, number: int, matches: Sequence[MatchResult]) -> None:
        """Payoffs and ratings take what was played in round `number`."""
        outcomes = outcomes_of(matches)
        self.view = self.view.add(number, outcomes)
        self.ratings = self.ratings.update(outcomes)

    def weights(self) -> AdapterBank:
        """The adapters of a league in which somebody trains. Raises LeagueError in a scripted
        league."""
        if self.bank is None:
            raise LeagueError("this league has no model: every agent is scripted, so none has weights")
        return self.bank

    def objective(self) -> Objective:
        chosen = self.config.learning
        return Objective(
            aggregation=chosen.aggregation, clip=chosen.clip, entropy=chosen.entropy, epochs=chosen.epochs, minibatches=chosen.minibatches,
            max_grad_norm=chosen.max_grad_norm, weight_decay=chosen.weight_decay, betas=chosen.betas,
            tokens_per_microbatch=chosen.tokens_per_microbatch, checkpointing=chosen.checkpointing,
        )  # fmt: skip

    def credit(self) -> Credit:
        return Credit(self.config.learning.discount, self.config.learning.normalise, self.config.learning.leave_one_out)

    def opponents(self) -> list[Version]:
        """Every version that can be met: members, frozen pasts, and the base."""
        return [*self.population.live().values(), *self.population.frozen(), BASE]


def limits_of(config: Config) -> Limits:
    chosen = config.league
    return Limits(
        chosen.keep_rounds, transcript_rounds=chosen.transcript_rounds, transcript_megabytes=chosen.transcript_megabytes
    )


def create(prepared: Prepared) -> League:
    """Load the base and give every agent of the config its adapter. The run folder is made last,
    when nothing can fail any more."""
    base, bank = load_base(prepared)
    population = _found(prepared.config, bank)
    return _league(
        prepared,
        base,
        bank,
        RunStore.create(prepared.config.folder, prepared.config.dump(), limits_of(prepared.config)),
        population,
    )


def begin_again(prepared: Prepared, store: RunStore) -> League:
    """A run that was killed before its first commit: the same as a new one, in the folder that
    exists."""
    base, bank = load_base(prepared)
    return _league(prepared, base, bank, store, _found(prepared.config, bank))


def restore(prepared: Prepared, store: RunStore) -> League:
    """Put the newest committed round back, bit for bit. Raises AdapterRefused or RunFolderError
    when the folder does not allow it."""
    base, bank = load_base(prepared)
    state = store.state()
    population = Population.from_json(state["population"])
    if bank is not None:
        wanted = [(member.version, member.trains) for member in population.members.values() if member.has_weights]
        for version, trains in [*wanted, *((version, False) for version in population.frozen())]:
            load_adapter(store, bank, store.version_row(version), trainable=trains)
    league = _league(prepared, base, bank, store, population)
    league.tokens = dict(state["tokens"])
    league.marks = dict(state["marks"])
    league.guards = AlarmHistory.from_json(state["guards"])
    league.evolution = Evolution.from_json(state.get("evolution", {}))
    league.clock = dict(state.get("clock", {}))
    newest = store.latest_round() or 0
    recent = ((played.round, played.outcome) for played in store.outcomes(since=newest - HISTORY + 1))
    league.view = PayoffView.of(store.payoff_cells(), recent)
    league.ratings = Ratings.from_rows(store.ratings()).kept(league.opponents())
    return league


def forget(league: League, number: int) -> None:
    """After the commit of round `number`: let go of what only concerns versions that left, as a
    resumed run would not know it either."""
    league.ratings = league.ratings.kept(league.opponents())
    league.view = league.view.trimmed(number)
    if number % TRIM_EVERY == 0:
        league.view = league.view.replaced(league.store.payoff_cells())


def players_of(population: Population) -> dict[str, Player]:
    """What every member brings to its seats."""
    return {member.name: Player(member.system, member.hyper.temperature) for member in population.members.values()}


def load_base(prepared: Prepared) -> tuple[BaseModel | None, AdapterBank | None]:
    """The base model and an empty bank over it; neither where no agent has weights."""
    if prepared.model is None:
        return None, None
    chosen = prepared.config.model
    base = BaseModel.load(prepared.model.path, device=chosen.device, dtype=chosen.dtype, threads=chosen.threads)
    return base, AdapterBank(base)


def _found(config: Config, bank: AdapterBank | None) -> Population:
    """Every agent of the config at step 0, adapters in the bank."""
    members = {}
    for name, agent in config.agents.items():
        version = Version(name, 0)
        weights = agent.role not in WITHOUT_WEIGHTS and bank is not None
        if weights and bank is not None:
            if agent.checkpoint is not None:
                import_peft(bank, version, Path(agent.checkpoint), trainable=True)
            else:
                bank.add(version, _spec(config, agent), seed=derive(config.seed, "adapter", name), trainable=True)
        members[name] = Member(
            name,
            agent.role,
            version,
            agent.train and weights,
            _hyper(config, agent),
            agent.domain,
            agent.system,
            agent.targets,
        )
    return Population(members, {})


def read_config(folder: Path) -> Config:
    """The resolved config of a run folder, which may have been moved since."""
    path = folder / "config.yaml"
    if not path.is_file():
        raise RunFolderError(
            f"{folder} is not a run folder: no config.yaml in it; `league status` without a folder lists the runs"
        )
    look_in(Path.cwd())
    place = folder.resolve()
    return load_config(path).model_copy(update={"name": place.name, "runs": place.parent})


def _league(
    prepared: Prepared, base: BaseModel | None, bank: AdapterBank | None, store: RunStore, population: Population
) -> League:
    backend = backend_for(prepared, base, bank, store.journal)
    tasks = {name: equipped(task, bank) for name, task in prepared.tasks.items()}
    return League(
        prepared.config, prepared.domains, tasks, base, bank, backend, store, population, PayoffView(), Ratings()
    )


def backend_for(
    prepared: Prepared, base: BaseModel | None, bank: AdapterBank | None, journal: Journal | None = None
) -> Backend:
    """Who speaks for every agent of the config: the bank's engine, the scripts of the scripted
    ones, the servers of the remote ones.

    `journal` keeps what remote players reply in a round; without one (an exhibition) nothing is kept.
    """
    config = prepared.config
    backend: Backend | None = (
        LocalBackend(base, bank, max_rows=config.model.max_rows) if base is not None and bank is not None else None
    )
    scripts = {
        name: mixed_strategy(agent.says) if agent.says is not None else imported(agent.script or "")
        for name, agent in config.agents.items()
        if agent.role == "scripted"
    }
    remotes = {name: agent.remote for name, agent in config.agents.items() if agent.remote is not None}
    if scripts or remotes or backend is None:
        own: dict[str, Backend] = dict.fromkeys(scripts, ScriptedBackend(scripts))
        own |= dict.fromkeys(remotes, RemoteBackend(remotes, journal))
        backend = RouterBackend(backend, own)
    return backend


def equipped(task: Task, bank: AdapterBank | None) -> Task:
    """Give a task that judges fluency the base model's opinion: tasks know no tensors."""
    if bank is None:
        return task
    return task.with_fluency(Perplexity(lambda texts: text_nll(bank, texts)))


def text_nll(bank: AdapterBank, texts: Sequence[str]) -> list[float]:
    """Mean negative log-likelihood per token (nats) of plain texts under the base without an
    adapter; 0 for an empty text."""
    tokenizer = bank.base.tokenizer
    encoded = [tuple(tokenizer.encode(text, add_special_tokens=False)) for text in texts]
    places = [place for place, tokens in enumerate(encoded) if tokens]
    rows = [((int(tokenizer.eos_token_id),), encoded[place]) for place in places]
    found = [0.0] * len(texts)
    for place, logprobs in zip(places, score(bank, rows, [None] * len(rows), [Sampling()] * len(rows)), strict=True):
        found[place] = -float(logprobs.mean())
    return found


def _spec(config: Config, agent: AgentConfig) -> LoraSpec:
    chosen = agent.adapter or config.adapter
    return LoraSpec(chosen.rank, chosen.alpha, tuple(chosen.targets))


def _hyper(config: Config, agent: AgentConfig) -> Hyper:
    teacher = config.learning.teacher_learning_rate if agent.role == "expert" else None
    return Hyper(agent.learning_rate or teacher or config.learning.learning_rate, config.learning.kl)
