"""Plays a stored match again and says whether every token agrees.

A reply depends on the match's seed and its place in the tree, on the weights of who speaks, and on the prompt. Its
logits also depend, in their last bits, on what else is computed in the same batch. So the matches that were played
together are played together again, where all of them can be; then log-probabilities must agree bit for bit on the same
machine. A match that is played alone has log-probabilities equal up to rounding, and so the same tokens but where a
draw falls that close to a boundary between two.

    agrees   every prompt, text and token is the same, and no log-probability differs by more than the tolerance
    differs  the first place where one does not

A round that kept no records (`league.keep: recent`) can be played again while its weights and the state before it are
kept. Nothing is stored. Exams keep no replies and cannot be replayed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from league.errors import DataError, UserError, nearest
from league.evaluation.replay_comparison import Replay, compared
from league.store.reader import RunReader
from league.store.records import StoredMatch
from league.types import BASE, EXAM, ROLES, BetaBelief, Match, Problem, RewardMix

if TYPE_CHECKING:
    from league.config import Config
    from league.preflight.checks import Prepared
    from league.rollouts import Player
    from league.rollouts.replay_records import ReplayRecord, SaidTokens
    from league.runtime.league import LeagueState

TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.1}
"""Largest difference of a log-probability, in nats, that is rounding, by the base's number format."""
EDITED = "one of the two was changed (`league verify` looks at the run)"
KEEP = "`league.keep: replayable` in a run's config keeps what replays need"


@dataclass(frozen=True)
class _Rematch:
    """A stored match, ready to be played again."""

    match: Match
    players: Mapping[str, "Player"]
    said: tuple["SaidTokens", ...] | None = None
    """Its tokens as kept; None where only texts were."""


@dataclass(frozen=True)
class _Batch:
    """What is played again in one go, and what is known of it."""

    rematches: Sequence[_Rematch]
    whole: bool
    certain: bool = True
    """Whether beliefs and temperatures are those of then. If not, a difference means nothing."""
    notes: list[str] = field(default_factory=list)


def replay_match(run: Path, name: str, *, alone: bool = False, exact: bool = False) -> Replay:
    """Play match `name` of a run again and compare.

    `alone` leaves out those that were played with it; `exact` takes every bit of a log-probability for a difference.
    Raises UserError, with the remedy, for a match that cannot be replayed.
    """
    from league.evaluation.on_demand import load_players
    from league.preflight.checks import prepare
    from league.rollouts import play

    with RunReader.read(run) as reader:
        stored, shown = _found(reader, name)
        config = _config_then(reader, stored)
        record = _record_of(reader, stored)
        _require_rules(config, stored, record)
        _require_players(reader, stored)
        prepared = prepare(config, new_run=False, speakers={version.agent for version in stored.seats.values()})
        batch = _batch(reader, prepared, stored, alone=alone or prepared.model is None)
        versions = dict.fromkeys(version for each in batch.rematches for version in each.match.seats.values())
        backend = load_players(reader, prepared, list(versions))
        dtype = _dtype(backend)
    players = {agent: player for each in batch.rematches for agent, player in each.players.items()}
    episodes = play([each.match for each in batch.rematches], prepared.tasks, backend, players)
    episode, rematch = next(pair for pair in zip(episodes, batch.rematches, strict=True) if pair[0].match.id == name)
    tolerance = 0.0 if exact else TOLERANCE.get(dtype, 0.0)
    found = compared(episode, shown, rematch.said, tolerance)
    whole = batch.whole or prepared.model is None
    found = replace(found, together=len(episodes), whole_batch=whole, notes=tuple(batch.notes))
    if not found.agrees and not batch.certain:
        raise UserError(
            f"match '{name}' cannot be replayed for certain: played again it differs ({found.differs}), but its round "
            f"did not keep what players brought and what was believed of them. {KEEP}"
        )
    return found


# ---------------------------------------------------------------------------------------- what can be played again
def _found(reader: RunReader, name: str) -> tuple[StoredMatch, Mapping[str, Any]]:
    """The match and its transcript.

    Raises UserError where there is no such match, or nothing to compare with."""
    number = name.partition("-")[0]
    there = reader.matches(int(number), int(number)) if number.isdecimal() and len(number) < 10 else iter(())
    stored = next((match for match in there if match.id == name), None)
    shown = reader.transcript(name)
    if stored is None:
        kept = [kept for _, kept in reader.transcript_ids()]
        raise UserError(f"{reader.folder} has no match '{name}'{nearest(name, kept)}")
    why = None
    if stored.task == EXAM:
        why = "exams keep who was right and not what was said; `league evaluate` holds one again"
    elif stored.void is not None:
        why = f"it did not count: {stored.void}"
    elif shown is None:
        why = f"its transcript was not kept, so there is nothing to compare with. {KEEP}"
    if why is not None:
        raise UserError(f"match '{name}' cannot be replayed: {why}")
    if not isinstance(shown, dict) or not isinstance(shown.get("turns"), list):
        raise DataError(
            f"the transcript of match '{name}' is not of the stored shape (`league verify {reader.folder}`)"
        )
    return stored, shown


def _config_then(reader: RunReader, stored: StoredMatch) -> "Config":
    """The configuration of the match's round: rules and players may have changed since.

    Where the base model lies, and on what it is computed, is as it is now.
    """
    from league.config import parse_config
    from league.preflight.trust import require_trust
    from league.runtime.assembly import read_config

    now = read_config(reader.folder)
    then = parse_config(reader.config_of(stored.round), f"the configuration of round {stored.round}")
    here = {"name": now.model.name, "device": now.model.device, "threads": now.model.threads}
    model = then.model.model_copy(update=here)
    config = then.model_copy(update={"name": now.name, "runs": now.runs, "model": model})
    require_trust(reader.folder, config)
    return config


def _record_of(reader: RunReader, stored: StoredMatch) -> "ReplayRecord | None":
    from league.rollouts.replay_records import ReplayRecord

    return ReplayRecord.of(reader.transcript(stored.id))


def _require_rules(config: "Config", stored: StoredMatch, record: "ReplayRecord | None") -> None:
    """The configuration of its round must have the task, with the rules of its record."""
    name = stored.task
    if name not in config.tasks:
        raise UserError(
            f"match '{stored.id}' cannot be replayed: its round had no task '{name}'{nearest(name, list(config.tasks))}"
        )
    if record is None:
        return
    rules = config.tasks[name]
    if record.kind != rules.kind:
        raise UserError(
            f"match '{stored.id}' cannot be replayed: tasks.{name}.kind was {record.kind} by its record, is "
            f"{rules.kind} by the configuration of its round; {EDITED}"
        )
    for key in dict.fromkeys([*record.settings, *rules.settings]):
        then, now = record.settings.get(key, "not set"), rules.settings.get(key, "not set")
        if then != now:
            raise UserError(
                f"match '{stored.id}' cannot be replayed: tasks.{name}.settings.{key} was {then} by its record, is "
                f"{now} by the configuration of its round; {EDITED}"
            )


def _require_players(reader: RunReader, stored: StoredMatch) -> None:
    """Raises UserError where a seat was taken by somebody who cannot speak again as then."""
    if (why := _missing(reader, stored)) is not None:
        raise UserError(f"match '{stored.id}' cannot be replayed: {why}")


def _missing(reader: RunReader, stored: StoredMatch) -> str | None:
    """Why somebody in this match cannot speak again as then, or None."""
    for seat, version in stored.seats.items():
        if version == BASE:
            continue
        row = reader.version_row(version)
        if ROLES[row.role].speaks == "server":
            return f"seat '{seat}' was taken by {version} behind a server, whose weights nobody here can put back"
        if ROLES[row.role].speaks != "adapter":
            continue
        if row.blob is None:
            return f"the weights of {version} (seat '{seat}') were never stored: it ended in the round that made it"
        if not reader.blobs.has(row.blob):
            who = f"the weights of {version} (seat '{seat}')"
            return f"{who} are gone, as only the last rounds' stay by themselves. {KEEP}"
    return None


# ------------------------------------------------------------------------------------------- the batch it was in
def _batch(reader: RunReader, prepared: "Prepared", stored: StoredMatch, *, alone: bool) -> _Batch:
    """The match with those that were played together with it; by itself where that cannot be."""
    record = _record_of(reader, stored)
    before, certain = (None, True) if record is not None else _state_before(reader, stored)
    notes: list[str] = []
    if not alone:
        try:
            others = _together(reader, stored, record)
            rematches = [_rematch(reader, prepared, each, before) for each in others]
            return _Batch(rematches, True, certain, notes)
        except UserError as reason:
            notes.append(f"played alone, so bits may differ: {reason}")
    return _Batch([_rematch(reader, prepared, stored, before)], False, certain, notes)


def _together(reader: RunReader, stored: StoredMatch, record: "ReplayRecord | None") -> list[StoredMatch]:
    """The matches of its batch in playing order.

    Raises UserError where they cannot be told, or somebody in one cannot speak again."""
    if record is None and stored.purpose != "train":
        raise UserError("which measurements were made in one batch was not kept")
    found = []
    for match in reader.matches(stored.round, stored.round):
        if match.task == EXAM or match.purpose != stored.purpose:
            continue
        if match.void is not None:
            raise UserError(f"match '{match.id}' of its round is void")
        if record is not None:
            other = _record_of(reader, match)
            if other is None:
                raise UserError(f"match '{match.id}' of its round kept no record")
            if other.batch != record.batch:
                continue
        if (why := _missing(reader, match)) is not None:
            raise UserError(f"in match '{match.id}' {why}")
        found.append(match)
    return found


def _state_before(reader: RunReader, stored: StoredMatch) -> "tuple[LeagueState, bool]":
    """(the state in which the round began, whether it is that one): the newest where it is no longer kept."""
    from league.runtime.league import LeagueState

    number = stored.round - 1
    kept = number in reader.kept_rounds()
    return LeagueState.from_json(reader.state(number) if kept else reader.begun()), kept


def _rematch(reader: RunReader, prepared: "Prepared", stored: StoredMatch, before: "LeagueState | None") -> _Rematch:
    """The match as it was planned, from its record or, without one, from the state `before` its round."""
    shown = reader.transcript(stored.id)
    record = _record_of(reader, stored)
    if record is not None:
        problems = _asked(stored, shown, record.solutions)
        return _Rematch(_match(stored, problems, record.seed, record.beliefs), record.players, record.replies)
    if before is None or stored.seed is None or stored.problems is None:
        raise UserError(f"seed and problems of match '{stored.id}' are no longer kept. {KEEP}")
    if prepared.tasks[stored.task].uses_domains:
        problems = tuple(_drawn(prepared, stored, key) for key in stored.problems)
    else:
        problems = _asked(stored, shown, (None,) * len(stored.problems))
    domain = problems[0].domain if prepared.tasks[stored.task].uses_domains and problems else ""
    trains = stored.purpose == "train"
    beliefs = {s: BetaBelief(*before.competence.belief(who, domain)) for s, who in stored.seats.items()}
    return _Rematch(_match(stored, problems, stored.seed, beliefs if trains else {}), before.players())


def _match(stored: StoredMatch, problems: tuple[Problem, ...], seed: int, beliefs: Mapping[str, BetaBelief]) -> Match:
    return Match(
        id=stored.id,
        task=stored.task,
        round=stored.round,
        seats=stored.seats,
        problems=problems,
        seed=seed,
        purpose="train" if stored.purpose == "train" else "evaluate",
        situation=stored.situation,
        rewards=RewardMix(*stored.rewards),
        beliefs=beliefs,
    )


def _drawn(prepared: "Prepared", stored: StoredMatch, key: str) -> Problem:
    """A problem of the run's domains by its key."""
    try:
        domain, split, index = key.rsplit("/", 2)
        return prepared.domains[domain].problem(split, int(index))  # type: ignore[arg-type]
    except (KeyError, ValueError) as error:
        raise UserError(f"match '{stored.id}' cannot be replayed: problem {key[:80]!r} is not in this run") from error


def _asked(stored: StoredMatch, shown: object, solutions: Sequence[str | None]) -> tuple[Problem, ...]:
    """The problems as the transcript has them."""
    if shown is None:
        raise UserError(f"the problems of match '{stored.id}' were not kept. {KEEP}")
    try:
        found = []
        for each, solution in zip(shown["problems"], solutions, strict=True):  # type: ignore[index]
            domain, split, index = each["key"].rsplit("/", 2)
            found.append(
                Problem(domain, split, int(index), str(each["question"]), str(each["answer"]), solution=solution)
            )
        return tuple(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"the transcript of match '{stored.id}' is not of the stored shape: {error!r}") from error


def _dtype(backend: object) -> str:
    """The number format of the base's weights; "" in a league without a model, where nothing is rounded."""
    from league.backends.local import LocalBackend
    from league.backends.router import RouterBackend

    if isinstance(backend, RouterBackend):
        backend = backend.default
    return str(backend.base.dtype).removeprefix("torch.") if isinstance(backend, LocalBackend) else ""
