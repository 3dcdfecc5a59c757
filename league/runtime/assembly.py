"""A league put together: made new from a config, or put back from a run folder.

Both ways end in the same `League` and `LeagueState`; nothing else knows which one it was.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from league.backends.local import LocalBackend
from league.backends.remote import Journal, RemoteBackend
from league.backends.router import RouterBackend
from league.backends.scripted import ScriptedBackend, imported, mixed_strategy
from league.config import AgentConfig, Config, load_config
from league.errors import RunFolderError
from league.matchmaking import make_mixture
from league.model.bank import AdapterBank, LoraSpec
from league.model.base import BaseModel
from league.model.engine_choice import prove
from league.model.peft_io import import_peft
from league.model.score import score
from league.payoffs.ratings import Ratings
from league.payoffs.view import HISTORY, PayoffView
from league.population import Member, Population
from league.preflight.checks import Prepared
from league.preflight.trust import require_trust, trust_own
from league.runtime.checkpoint import load_adapter
from league.runtime.code_folders import look_for_code, remember_code
from league.runtime.league import League, LeagueState
from league.seeds import derive
from league.store.records import Retention
from league.store.run import RunStore
from league.types import Backend, Hyper, Sampling, Version
from tasks import Task
from tasks.writing.fluency import Perplexity


# ---------------------------------------------------------------------------------------------- new or restored
def create(prepared: Prepared) -> tuple[League, LeagueState]:
    """Load the base and give every agent of the config its adapter.

    The run folder is made last, when nothing can fail any more.
    """
    bank = load_bank(prepared)
    population = _new_population(prepared.config, bank)
    if bank is not None:
        prove(bank)
    config = prepared.config
    store = RunStore.create(config.folder, config.dump(), retention_of(config))
    if prepared.code is not None:
        remember_code(config.folder, prepared.code)
    trust_own(config.folder, config)
    return _league(prepared, bank, store), LeagueState(population)


def begin_again(prepared: Prepared, store: RunStore) -> tuple[League, LeagueState]:
    """A run that was killed before its first commit: the same as a new one, in the folder that exists."""
    bank = load_bank(prepared)
    population = _new_population(prepared.config, bank)
    if bank is not None:
        prove(bank)
    return _league(prepared, bank, store), LeagueState(population)


def restore(prepared: Prepared, store: RunStore) -> tuple[League, LeagueState]:
    """Put the newest committed round back, bit for bit.

    Raises AdapterRefused or RunFolderError when the folder does not allow it.
    """
    bank = load_bank(prepared)
    stored = store.state()
    state = LeagueState.from_json(stored)
    if "begun" not in stored:
        state = replace(state, begun=_begun_before(prepared, store.latest_round() or 0))
    population = state.population
    if bank is not None:
        members = [(m.version, m.trains) for m in population.members.values() if m.can.has_weights]
        for version, trains in [*members, *((version, False) for version in population.frozen())]:
            load_adapter(store, bank, store.version_row(version), trainable=trains)
    newest = store.latest_round() or 0
    recent = ((played.round, played.outcome) for played in store.outcomes(since=newest - HISTORY + 1))
    view = PayoffView.of(store.payoff_cells(), recent)
    ratings = Ratings.from_rows(store.ratings()).kept(state.opponents())
    return _league(prepared, bank, store), replace(state, view=view, ratings=ratings)


def rebuilt(league: League, prepared: Prepared) -> League:
    """The same league under a changed config, with new rules and speakers over its weights and store.

    A scripted league that gets its first agent with weights loads its base model here.
    """
    bank = league.bank
    if bank is None and (bank := load_bank(prepared)) is not None:
        prove(bank)
    return _league(prepared, bank, league.store)


def _begun_before(prepared: Prepared, rounds: int) -> dict[tuple[str, str], int]:
    """What a run has begun that did not count its matches.

    Its problems were numbered by round, over all domains.
    """
    return {
        (name, domain): rounds * prepared.config.tasks[name].matches
        for name, task in prepared.tasks.items()
        for domain in task.domain_names
    }


def read_config(folder: Path, *, trusted: bool = True) -> Config:
    """The resolved config of a run folder, which may have been moved since.

    Who acts on the addresses, code and models that it names leaves `trusted` on: a stranger's is refused then.
    """
    path = folder / "config.yaml"
    if not path.is_file():
        raise RunFolderError(
            f"{folder} is not a run folder: no config.yaml in it; `league status` without a folder lists the runs"
        )
    place = folder.resolve()
    config = load_config(path).model_copy(update={"name": place.name, "runs": place.parent})
    if trusted:
        require_trust(folder, config)
        look_for_code(folder)
    return config


def retention_of(config: Config) -> Retention:
    """What the store keeps."""
    chosen = config.league
    return Retention(
        chosen.keep_rounds,
        transcript_rounds=chosen.transcript_rounds,
        transcript_megabytes=chosen.transcript_megabytes,
        adapters_of_transcripts=chosen.keep == "replayable",
    )


# ---------------------------------------------------------------------------------------------------- its parts
def load_bank(prepared: Prepared) -> AdapterBank | None:
    """The base model with an empty bank over it; None where no agent has weights."""
    if prepared.model is None:
        return None
    chosen = prepared.config.model
    return AdapterBank(
        BaseModel.load(prepared.model.path, device=chosen.device, dtype=chosen.dtype, threads=chosen.threads)
    )


def _league(prepared: Prepared, bank: AdapterBank | None, store: RunStore) -> League:
    versions = prepared.config.evaluation.versions
    return League(
        config=prepared.config,
        domains=prepared.domains,
        tasks={name: with_base_fluency(task, bank) for name, task in prepared.tasks.items()},
        mixtures={name: make_mixture(task.matchmaking, task.rules) for name, task in prepared.config.tasks.items()},
        version_mixture=make_mixture(versions.matchmaking, versions.rules),
        bank=bank,
        backend=backend_for(prepared, bank, store.journal),
        store=store,
    )


def _new_population(config: Config, bank: AdapterBank | None) -> Population:
    """Every agent of the config at step 0, adapters in the bank."""
    return Population({name: begin_agent(config, bank, name) for name in config.agents}, {})


def begin_agent(config: Config, bank: AdapterBank | None, name: str) -> Member:
    """An agent of the config at step 0, its adapter in the bank.

    Raises AdapterRefused for a bad checkpoint.
    """
    agent, version = config.agents[name], Version(name, 0)
    if bank is not None and agent.can.has_weights:
        if agent.checkpoint is not None:
            import_peft(bank, version, Path(agent.checkpoint), trainable=True)
        else:
            bank.add(version, _spec(config, agent), seed=derive(config.seed, "adapter", name), trainable=True)
    return Member(
        name=name,
        role=agent.role,
        version=version,
        trains=agent.train and agent.can.has_weights and bank is not None,
        hyper=first_hyper(config, agent),
        domain=agent.domain,
        system=agent.system,
        targets=agent.targets,
    )


def backend_for(prepared: Prepared, bank: AdapterBank | None, journal: Journal | None = None) -> Backend:
    """Who speaks for every agent: the bank's engine, the scripts, the servers of remote players.

    `journal` keeps what remote players reply in a round; without one (a single match) nothing is kept.
    """
    config = prepared.config
    backend: Backend | None = None
    if bank is not None:
        backend = LocalBackend(bank.base, bank, max_rows=config.model.max_rows)
    scripts = {
        name: mixed_strategy(agent.says) if agent.says is not None else imported(agent.script or "")
        for name, agent in config.agents.items()
        if agent.can.speaks == "script"
    }
    remotes = {name: agent.remote for name, agent in config.agents.items() if agent.remote is not None}
    if scripts or remotes or backend is None:
        own: dict[str, Backend] = dict.fromkeys(scripts, ScriptedBackend(scripts))
        own |= dict.fromkeys(remotes, RemoteBackend(remotes, journal))
        backend = RouterBackend(backend, own)
    return backend


def with_base_fluency(task: Task, bank: AdapterBank | None) -> Task:
    """Give a task that judges fluency the base model's opinion: tasks know no tensors."""
    if bank is None:
        return task
    return task.with_fluency(Perplexity(lambda texts: text_nll(bank, texts)))


def text_nll(bank: AdapterBank, texts: Sequence[str]) -> list[float]:
    """Mean negative log-likelihood per token (nats) of plain texts under the base without an adapter.

    0 for an empty text.
    """
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


def first_hyper(config: Config, agent: AgentConfig) -> Hyper:
    """What an agent of these settings begins with."""
    teacher = config.learning.teacher_learning_rate if agent.can.specialist else None
    return Hyper(agent.learning_rate or teacher or config.learning.learning_rate, config.learning.kl)
