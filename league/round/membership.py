"""Agents that join or leave between two rounds.

Who is in the league is what its configuration says. A request of `league agents` changes the configuration, on the
disk and in the store, before the next round; an edit of config.yaml does so before the next process. Then whoever is a
member and not named any more leaves, and whoever is named and no member joins in the round: with a fresh adapter or a
checkpoint, its warm-up and its first frozen past, all committed with that round. So a process that is killed in
between finds the same difference again, and does the same. An agent that left may come back as it was.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from league.config import AgentConfig, Config, parse_config
from league.config.changes import Joining, Leaving, MembershipChange, with_membership
from league.config.fixed_settings import changed_fixed_settings
from league.errors import LeagueError, UserError
from league.model.adapter_checks import check_folder
from league.model.base import BaseModel
from league.payoffs.ratings import Ratings
from league.payoffs.view import HISTORY, PayoffView
from league.population import Member, Population
from league.population.left_agents import LeftAgent
from league.preflight.checks import prepare
from league.preflight.trust import require_trust
from league.round.values import RoundDraft, base_row
from league.round.versions import snapshot
from league.round.warm_up import WarmupNews, beginning, in_order_of_beginning, warm_up_all
from league.runtime import assembly
from league.runtime.checkpoint import load_adapter
from league.runtime.league import League, LeagueState
from league.store import agent_requests
from league.store.named_versions import has_weights
from league.store.reader import RunReader
from league.types import BASE, Version

log = logging.getLogger("league.agents")


# ------------------------------------------------------------------------------------------------- requests
def take_up_requests(league: League, state: LeagueState) -> tuple[League, LeagueState]:
    """Change the configuration as was asked for since the last round.

    Who leaves has left when this returns.

    A request that cannot be met, for example because an earlier one took its name, is an event and changes nothing.
    """
    for request in agent_requests.waiting_agent_requests(league.store.folder):
        try:
            if request.change is not None and not _is_done(league.config, request.change):
                league = _under(league, state, request.change)
                state = say_goodbye(league, state)
        except UserError as error:
            log.warning("a request of `league agents` is refused, and the run goes on: %s", error)
            league.store.event("agents request refused", request=request.path.name, error=str(error))
        with suppress(OSError):  # what cannot be removed is done already when it is looked at again
            request.path.unlink(missing_ok=True)
    return league, state


def checked_request(reader: RunReader, place: Config, change: MembershipChange) -> tuple[Config, MembershipChange]:
    """A request checked as far as that can be done before its turn comes; nothing is written.

    It is held against the configuration with the requests that wait before it. `place` is any configuration of the
    run: it says where its folder is. Returns that configuration, and the request in full. Raises UserError with all
    that is wrong.
    """
    source, text = str(reader.folder / "config.yaml"), reader.config_text()
    for request in agent_requests.waiting_agent_requests(reader.folder):
        if request.change is not None:
            with suppress(UserError):  # it will be refused, and told so, when its turn comes
                waiting, after = with_membership(text, request.change, source)
                require_trust(reader.folder, waiting)
                text = after
    if isinstance(change, Joining):
        require_free_name(reader, change)
    else:
        _require_no_heir(reader, parse_config(text, source), change.name)
    config, _ = with_membership(text, change, source)
    config = config.model_copy(update={"name": place.name, "runs": place.runs})
    prepared = prepare(config, new_run=False)
    if isinstance(change, Leaving):
        return config, change
    folder = config.agents[change.name].checkpoint
    if folder is not None and change.name not in left_agents(reader) and prepared.model is not None:
        base = BaseModel.load(prepared.model.path, device="cpu", dtype=config.model.dtype)
        check_folder(change.name, folder, base.manifest())
    sections = {name: config.domains[name].model_dump(mode="json") for name in change.domains}
    return config, Joining(change.name, config.agents[change.name].model_dump(mode="json"), sections)


def _require_no_heir(reader: RunReader, config: Config, name: str) -> None:
    """Nobody who has not joined yet is to begin with the weights of who leaves. Raises UserError."""
    joined = {row.name for row in reader.agents()}
    for other, agent in config.agents.items():
        if agent.branch == name and other not in joined:
            raise UserError(
                f"'{name}' cannot leave yet: '{other}' joins before the next round with its weights (branch={name}); "
                "ask again after that round"
            )


def require_free_name(reader: RunReader, change: Joining) -> None:
    """An agent comes with a name that nobody has had, or comes back as it was. Raises UserError."""
    left = left_agents(reader).get(change.name)
    if left is not None and same_settings(change.agent, left.settings) and not change.domains:
        if left.member.can.has_weights and not has_weights(reader, left.member.version):
            raise UserError(f"agents.{change.name}: its weights are gone, so it cannot come back; choose another name")
        return
    if left is not None:
        raise UserError(
            f"agents.{change.name}: an agent of this name left after round {left.round}; name it without settings to "
            "bring it back as it was, or choose another name"
        )
    if change.name == BASE.agent or change.name in {row.name for row in reader.agents()}:
        raise UserError(f"agents.{change.name}: an agent of this run has or had this name; choose another")


def same_settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two sections of an agent mean the same. False where one of them cannot be read any more."""
    try:
        return AgentConfig.model_validate(one) == AgentConfig.model_validate(other)
    except ValidationError:
        return False


def left_agents(reader: RunReader) -> dict[str, LeftAgent]:
    """Agents that left the run as it was last committed, by name."""
    return {row["member"]["name"]: LeftAgent.from_json(row) for row in reader.state().get("left", ())}


def _is_done(config: Config, change: MembershipChange) -> bool:
    """Whether the configuration says so already: the process before this one was killed just then."""
    if isinstance(change, Leaving):
        return change.name not in config.agents
    there = config.agents.get(change.name)
    return there is not None and same_settings(change.agent, there.model_dump(mode="json"))


def _under(league: League, state: LeagueState, change: MembershipChange) -> League:
    """The league under the changed configuration, which is durable when this returns."""
    store, source = league.store, str(league.store.folder / "config.yaml")
    if isinstance(change, Joining):
        require_free_name(store, change)
    config, text = with_membership(store.config_text(), change, source)
    config = config.model_copy(update={"name": league.config.name, "runs": league.config.runs})
    edited = _edited(store, change)
    require_trust(store.folder, config)
    known = changed_fixed_settings(league.config, config)
    prepared = prepare(config, new_run=False, known=known, source=source)
    changed = assembly.rebuilt(league, prepared)
    if isinstance(change, Joining) and change.name not in state.left:
        folder = config.agents[change.name].checkpoint
        if folder is not None:
            check_folder(change.name, folder, changed.weights().base.manifest())
    store.change_config(text, edited)
    return changed


def _edited(store: RunReader, change: MembershipChange) -> str | None:
    """What config.yaml is to hold where a person edited it for the next process; None where nobody did.

    That is the edit, and the change.
    """
    path = store.folder / "config.yaml"
    try:
        file = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    return with_membership(file, change, str(path))[1] if file != store.config_text() else None


# ----------------------------------------------------------------------------------------------- who leaves
def say_goodbye(league: League, state: LeagueState) -> LeagueState:
    """Agents that the config no longer names leave the league with their pasts.

    They are remembered as they were.

    What they played stays in payoffs and ratings.
    """
    gone = set(state.population.members) - set(league.config.agents) - set(state.evolution.merged)
    if not gone:
        return state
    latest = league.store.latest_round() or 0
    league.store.event("agents left", round=latest, agents=sorted(gone))
    settings = _settings_before(league)
    left = dict(state.left)
    for name in sorted(gone):
        left[name] = LeftAgent(
            member=state.population.members[name],
            pasts=state.population.pasts.get(name, ()),
            history=state.evolution.of(name),
            round=latest,
            settings=settings.get(name, {}),
        )
    return replace(_without(league, state, frozenset(gone)), left=left)


def _settings_before(league: League) -> Mapping[str, Mapping[str, Any]]:
    """The sections of agents in the configuration of the last committed round."""
    found: Mapping[str, Mapping[str, Any]] = league.store.state().get("config", {}).get("agents", {})
    return found


def _without(league: League, state: LeagueState, names: frozenset[str]) -> LeagueState:
    """Nobody is met under these names any more, and nobody targets them."""
    if league.bank is not None:
        for version in [version for version in league.bank.versions() if version.agent in names]:
            league.bank.drop(version)
    population = state.population.without(names)
    members = {name: _without_targets(member, names) for name, member in population.members.items()}
    return replace(
        state,
        population=replace(population, members=members),
        alarms=state.alarms.without(names),
        evolution=state.evolution.without(names),
    )


def _without_targets(member: Member, names: frozenset[str]) -> Member:
    """An exploiter all of whose targets left exploits the whole league."""
    if not isinstance(member.targets, tuple):
        return member
    return replace(member, targets=tuple(target for target in member.targets if target not in names) or "league")


# ------------------------------------------------------------------------------------------------ who joins
def newcomers(league: League, state: LeagueState) -> list[str]:
    """Agents that the config names and that are no members yet, in its order."""
    return [name for name in league.config.agents if name not in state.population.members]


def require_joinable(league: League, state: LeagueState) -> None:
    """Newcomers have names that nobody has had, or come back as they were. Raises UserError."""
    taken = {row.name for row in league.store.agents()} - set(state.left)
    for name in newcomers(league, state):
        settings = league.config.agents[name].model_dump(mode="json")
        if name in state.left and not same_settings(settings, state.left[name].settings):
            raise UserError(
                f"agents.{name}: it left after round {state.left[name].round} with other settings, and comes back as "
                f"it was or not at all; put them back (`league agents add RUN {name}` does), or choose another name"
            )
        if name in taken:
            raise UserError(f"agents.{name}: an agent of this run had this name; choose another in its config.yaml")


def welcome(league: League, state: LeagueState, draft: RoundDraft, hear: Callable[[WarmupNews], None]) -> LeagueState:
    """Let newcomers join in this round, before its matches, with their warm-up and a frozen past.

    `hear` may raise StoppedInWarmup to end the warm-up behind a step, which is then kept.
    """
    names = newcomers(league, state)
    if not names:
        return state
    for name in [name for name in names if name in state.left]:
        state = _come_back(league, state, name)
    fresh = [name for name in names if name not in state.population.members]
    made = {name: assembly.begin_agent(league.config, league.bank, name) for name in fresh}
    population = replace(state.population, members={**state.population.members, **made})
    spent = warm_up_all(league, population, hear, only=fresh)
    draft.began_earlier("warm-up", spent.earlier)
    state = replace(state, population=population).spent(spent.spent)
    if league.bank is not None and not _is_stored(league, BASE):
        draft.versions.append(base_row())
    for member in in_order_of_beginning(league, population, only=fresh):
        tokens = spent.spent.trained_by(member.name)
        if tokens:
            draft.scalars[f"warmup_tokens/{member.name}"] = float(tokens)
        if not member.trains and league.bank is not None and member.version in league.bank:
            league.bank.freeze(member.version)
        draft.made(population, member.version, *beginning(league, population, member, tokens))
    for name in fresh:
        if made[name].trains:
            state = snapshot(league, state, draft, name)
    league.store.event("agents joined", round=draft.number, agents=names)
    return state


def _come_back(league: League, state: LeagueState, name: str) -> LeagueState:
    """An agent that left goes on as it was: its weights, optimizer, pasts, payoffs and ratings."""
    left = state.left[name]
    if left.member.can.has_weights:
        wanted = {left.member.version: left.member.trains} | {past: False for past in left.pasts}
        for version, trains in wanted.items():
            load_adapter(league.store, league.weights(), league.store.version_row(version), trainable=trains)
    members = {**state.population.members, name: left.member}
    population = Population(members, {**state.population.pasts, **({name: left.pasts} if left.pasts else {})})
    state = replace(
        state,
        population=population,
        evolution=state.evolution.with_agent(name, left.history),
        left={other: each for other, each in state.left.items() if other != name},
    )
    return _as_stored(league, state)


def _as_stored(league: League, state: LeagueState) -> LeagueState:
    """Payoffs and ratings from the store: in memory those of who had left were forgotten."""
    newest = league.store.latest_round() or 0
    recent = ((played.round, played.outcome) for played in league.store.outcomes(since=newest - HISTORY + 1))
    view = PayoffView.of(league.store.payoff_cells(), recent)
    return replace(state, view=view, ratings=Ratings.from_rows(league.store.ratings()).kept(state.opponents()))


def _is_stored(league: League, version: Version) -> bool:
    try:
        league.store.version_row(version)
    except LeagueError:
        return False
    return True
