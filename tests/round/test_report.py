"""What people are shown while a run goes on must not slow it.

Pictures wait until their share of the time pays for them.
"""

from pathlib import Path
from types import SimpleNamespace

import pytest

from league.population import Population
from league.round import report as watch
from league.round.values import RoundReport
from league.runtime.league import LeagueState
from tests.leagues import tiny


def test_pictures_wait_for_their_share_and_the_last_round_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, drawn = [0.0], []

    def publish(board, reader, number: int, *, figures: bool, schedule) -> int:
        if figures:
            drawn.append(number)
            now[0] += 8.0
        return 0

    monkeypatch.setattr(watch, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(watch, "publish_round", publish)
    state = LeagueState(Population({}, {}))
    league = SimpleNamespace(store=None, config=tiny(tmp_path, tmp_path, evaluation__every=5, league__rounds=200))
    with watch.LiveReport(tmp_path, 200, quiet=True) as shown:
        for number in range(201):
            now[0] += 10.0
            clock = {"generate": 9.0} | ({"evaluate": 1.0} if number % 5 == 0 else {})
            shown.round(
                league,
                RoundReport(
                    number, 200, state, scalars={}, exams=(), gains=(), matches=(), alarms=(), clock=clock, seconds=10.0
                ),
            )  # type: ignore[arg-type]
    assert drawn[0] == 0 and drawn[-1] == 200
    spent = 8.0 * (len(drawn) - 1)
    assert spent <= 0.05 * now[0], "the last round's pictures apart"
    assert 10 <= len(drawn) <= 15, "of 41 measurements"
    gaps = [later - earlier for earlier, later in zip(drawn[1:-1], drawn[2:-1], strict=False)]
    assert max(gaps) <= 20, "and they do come again"
