"""The commit of a round: blobs first, then one transaction with everything that belongs to the round."""

import time
from dataclasses import replace

from league.rollouts import outcomes_of
from league.round.values import RoundDraft
from league.runtime.checkpoint import save_adapter, save_optimizer
from league.runtime.league import League, LeagueState
from league.store.commit import TRIM_EVERY
from league.store.records import RoundRecord


def commit(league: League, state: LeagueState, draft: RoundDraft) -> LeagueState:
    """Make the round exist; returns the state without what only concerned versions that left."""
    rows = []
    for row in draft.versions:
        if league.bank is not None and row.version in league.bank:
            row = replace(
                row,
                blob=save_adapter(league.store, league.bank, row.version),
                optimizer=save_optimizer(league.store, league.bank, row.version),
            )
        rows.append(row)
    played = {version for outcome in outcomes_of(draft.matches) for version in (outcome.row, outcome.col)}
    league.store.commit(
        RoundRecord(
            round=draft.number,
            versions=tuple(rows),
            matches=tuple(draft.matches),
            ratings=state.ratings.rows(of=played),
            scalars=draft.scalars,
            live=state.population.live(),
            state=state.after(draft.clock).to_json() | {"config": league.config.stored()},
            figures={"lessons": [gain.to_json() for gain in draft.gains]},
            seconds=time.perf_counter() - draft.started,
        )
    )
    league.store.collect_garbage()
    return _trimmed(league, state, draft.number)


def _trimmed(league: League, state: LeagueState, number: int) -> LeagueState:
    """The state without what only concerns versions that left: a resumed run would not know it either."""
    view = state.view.trimmed(number)
    if number % TRIM_EVERY == 0:
        view = view.replaced(league.store.payoff_cells())
    return replace(state, view=view, ratings=state.ratings.kept(state.opponents()))
