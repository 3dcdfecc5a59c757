"""Evolution in real tiny leagues whose results are known.

Snapshots, exploiters, PBT, retirement, mergers, and exact resume through all of it.
"""

import io
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from league.errors import ConfigError
from league.loop import resume, train
from league.preflight.checks import prepare
from league.reporting.figures.lineage_tree import lineage_tree
from league.reporting.queries.run_status import lineage
from league.reporting.text.tables import lineage_view
from league.store.digests import run_digest
from league.store.reader import RunReader
from league.store.run import request_stop
from league.types import Version, VersionRow
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, contest, tiny

TWO = {"ada": {"role": "student"}, "max": {"role": "student"}}
QUICK = {"every": 50, "problems": 1, "final_problems": 1}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


def config(model: Path, runs: Path, rule: str, rounds: int, agents: dict | None = None, **changes: object):
    settings: dict[str, object] = {
        "agents": agents or TWO,
        "tasks": contest(rule),
        "evaluation": QUICK,
        "league__rounds": rounds,
        "league__snapshot_every": 50,
        "alarms": {
            name: {"warn": None, "roll_back": None} for name in ("capped", "repetition", "length", "entropy_low")
        },
    }
    return tiny(model, runs, **(settings | changes))


def rows(folder: Path, reason: str) -> list[VersionRow]:
    with RunReader.read(folder) as reader:
        return [row for row in reader.versions() if row.reason == reason]


def scalars(folder: Path, name: str) -> list[float]:
    with RunReader.read(folder) as reader:
        return reader.scalars(name)[1].tolist()


# ------------------------------------------------------------------------------------------------- snapshots
def test_an_agent_that_beats_its_past_is_frozen_at_once_and_an_equal_one_when_its_time_is_up(
    model: Path, tmp_path: Path
) -> None:
    rule = {"snapshots": {"min_games": 16}}
    fast = train(prepare(config(model, tmp_path / "a", "newer", 3, evolution=rule)), Nobody())
    assert {row.round for row in rows(fast, "snapshot")} - {0}, "progress"
    assert sum(scalars(fast, "evolution/snapshots/progress")) >= 1 and not scalars(fast, "evolution/snapshots/time-out")
    even = train(prepare(config(model, tmp_path / "b", "even", 3, evolution=rule, league__snapshot_every=2)), Nobody())
    assert {row.round for row in rows(even, "snapshot")} == {0, 2}, "time-out"
    assert not scalars(even, "evolution/snapshots/progress")


# ------------------------------------------------------------------------------------------------- exploiters
def test_an_exploiter_meets_its_targets_and_starts_again_after_its_snapshot(model: Path, tmp_path: Path) -> None:
    agents = {**TWO, "spy": {"role": "exploiter", "targets": ["ada"]}}
    rule = {"exploiters": {"timeout": 2}}
    folder = train(
        prepare(config(model, tmp_path, "even", 4, agents, tasks=contest("even", 12), evolution=rule)), Nobody()
    )
    with RunReader.read(folder) as reader:
        stored = {row.version: row for row in reader.versions()}
        resets = [row for row in stored.values() if row.reason == "reset"]
        assert [row.round for row in resets] == [2, 4]
        start = stored[Version("spy", 0)]
        for row in resets:
            assert row.parents[0] == start.version
            assert stored[row.parents[1]].blob != start.blob, "what was frozen had been trained"
        last = resets[-1]
        assert last.blob == start.blob and last.version == reader.live()["spy"]
        moments, _ = reader.blobs.read_blob(last.optimizer or "")
        assert not moments["exp_avg"].any() and int(moments["step"]) == 0
        met = [set(match.seats.values()) for match in reader.matches(1) if match.task == "contest"]
        spies = [{v.agent for v in seats} for seats in met if any(v.agent == "spy" for v in seats)]
        assert spies and all("ada" in names or "max" in names for names in spies)
        # as the learner of a pairing the spy meets only its target; it may be met by max, who meets everyone
        state = reader.state()
        assert (
            "spy@0" in state["evolution"]["origin"].values() and state["evolution"]["since"]["spy"] == last.version.step
        )
        assert {row.reason for row in stored.values() if row.version.agent == "ada"} == {
            "warm-up",
            "snapshot",
            "update",
        }


def test_an_exploiter_that_wins_is_frozen_before_its_time_and_may_keep_its_weights(model: Path, tmp_path: Path) -> None:
    agents = {"ada": {"role": "student"}, "spy": {"role": "exploiter", "targets": "league"}}
    rule = {"exploiters": {"timeout": 40, "reset": False}}
    folder = train(
        prepare(config(model, tmp_path, "spy", 3, agents, tasks=contest("spy", 8), evolution=rule)), Nobody()
    )
    frozen = [row for row in rows(folder, "snapshot") if row.version.agent == "spy" and row.round > 0]
    assert frozen and not rows(folder, "reset")
    assert sum(scalars(folder, "evolution/snapshots/progress")) >= 1


# ------------------------------------------------------------------------------------------------------- PBT
def test_a_surely_worse_agent_takes_over_weights_and_optimizer_and_explores(model: Path, tmp_path: Path) -> None:
    rule = {"pbt": {"every": 3}}
    folder = train(prepare(config(model, tmp_path / "a", "max", 3, evolution=rule, learning__kl=0.1)), Nobody())
    (row,) = rows(folder, "exploit")
    with RunReader.read(folder) as reader:
        donor = reader.version_row(reader.live()["max"])
        assert row.version == reader.live()["ada"] and row.parents[1] == donor.version
        assert (row.blob, row.optimizer) == (donor.blob, donor.optimizer)
        hypers = {m["name"]: m["hyper"] for m in reader.state()["population"]["members"]}
    for name, value in hypers["ada"].items():
        ratio = value / hypers["max"][name]
        assert ratio == pytest.approx(1.25) or ratio == pytest.approx(0.8), name
    assert scalars(folder, "evolution/exploits/ada")[0] > 0.95
    even = train(prepare(config(model, tmp_path / "b", "even", 3, evolution=rule)), Nobody())
    assert not rows(even, "exploit")


def test_an_explored_rate_and_temperature_are_what_the_next_round_uses(model: Path, tmp_path: Path) -> None:
    """After an exploit ada's weights are max's, and its next update is its own.

    It has other samples and another step size.
    """
    seen = {}

    class Look(Nobody):
        def round(self, league, report) -> None:
            seen[report.round] = (
                report.state.population.members["ada"].hyper,
                report.state.players()["ada"].temperature,
            )

    train(prepare(config(model, tmp_path, "max", 4, evolution={"pbt": {"every": 3}})), Look())
    hyper, temperature = seen[3]
    assert hyper != seen[2][0] and temperature == hyper.temperature != seen[2][1] and seen[4] == seen[3]


# ------------------------------------------------------------------------------------------------ retirement
RETIRE = {"retirement": {"every": 4, "min_games": 20, "stored": 1}}
VERSIONS = {**QUICK, "every": 1, "versions": {"matches": 16, "matchmaking": {"uniform": 1.0}}}


def test_what_is_dominated_acyclic_and_cloned_is_met_no_more_but_stays_stored(model: Path, tmp_path: Path) -> None:
    pinned: list[Version] = []

    class Pin(Nobody):
        def round(self, league, report) -> None:
            if report.round == 2:
                pinned.append(report.state.population.pasts["ada"][1])
                league.store.pin(pinned[0], "export")

    changes = {"league__snapshot_every": 1, "league__snapshots_kept": 6, "evaluation": VERSIONS, "evolution": RETIRE}
    folder = train(prepare(config(model, tmp_path, "max", 5, tasks=contest("max", 10), **changes)), Pin())
    with RunReader.read(folder) as reader:
        state = reader.state()
        retired = [Version(agent, step) for agent, step, _ in state["evolution"]["retired"]]
        assert retired and {version.agent for version in retired} == {"ada"}
        pasts = [Version.parse(text) for text in state["population"]["pasts"]["ada"]]
        assert not set(pasts) & set(retired) and pasts[0] == Version("ada", 0)
        later = {version for match in reader.matches(5) for version in match.seats.values()}
        assert not later & set(retired)
        kept = {*map(Version.parse, state["evolution"]["stored"]), *pinned}
        assert len(state["evolution"]["stored"]) == 1
        for version in retired:
            row = reader.version_row(version)
            assert reader.blobs.has(row.blob or "") == (version in kept), version
        cells = reader.payoffs("contest", "contest")
        assert set(retired) <= set(cells.versions), "their payoffs stay"
        edges = {edge.child: edge for edge in lineage(reader, updates=False)}
        assert {name for name, edge in edges.items() if edge.retired is not None} == {
            str(version) for version in retired
        }
        lineage_tree(list(edges.values()))


# --------------------------------------------------------------------------------------------------- mergers
def test_a_merger_joins_only_when_it_is_not_worse(model: Path, tmp_path: Path) -> None:
    rule = {"merging": {"every": 2, "method": "cat", "matches": 2, "margin": 0.3}}
    good = train(prepare(config(model, tmp_path / "a", "even", 4, evolution=rule | {"task": "contest"})), Nobody())
    (born, second) = rows(good, "merge")
    assert born.version == Version("merge-2", 0) and {parent.agent for parent in born.parents} == {"ada", "max"}
    with RunReader.read(good) as reader:
        assert {"ada", "max", "merge-2", "merge-4"} == set(reader.live()) and second.round == 4
        assert any(row.reason == "update" for row in reader.versions("merge-2")), "it trains on"
        tried = [match for match in reader.matches(2, 2) if "-merge-" in match.id]
        assert len(tried) == 4 and all(match.purpose == "evaluate" for match in tried)
        tensors, meta = reader.blobs.read_blob(reader.version_row(reader.live()["merge-2"]).blob or "")
        assert '"rank": 4' in meta["spec"], "cat of two adapters of rank 2"
        edges = lineage(reader, updates=False)
        shown = Console(width=120, record=True, file=io.StringIO())
        shown.print(lineage_view(edges))
        text = shown.export_text()
    for edge in edges:  # every line hangs on the newest one of its own agent that is shown, or on its parents
        assert edge.parents or edge.child.endswith("@0"), edge
    order = [edge.child for edge in edges]
    assert all(order.index(parent) < order.index(edge.child) for edge in edges for parent in edge.parents), (
        "parents come first"
    )
    assert f"merge-2@0  round 2  merge  student  from {', '.join(map(str, born.parents))}" in text
    bad = train(prepare(config(model, tmp_path / "b", "max", 2, evolution=rule)), Nobody())
    assert not rows(bad, "merge")
    (refused,) = rows(bad, "merge refused")
    assert refused.blob is None and len(refused.parents) == 2
    with RunReader.read(bad) as reader:
        assert set(reader.live()) == {"ada", "max"}


# ------------------------------------------------------------------------------------------------------ whole
EVERYTHING = {
    "snapshots": {"min_games": 16},
    "exploiters": {"timeout": 2},
    "pbt": {"every": 2, "min_games": 8},
    "retirement": {"every": 2, "min_games": 10, "distance": 0.4},
    "merging": {"every": 3, "method": "dare_ties_svd", "matches": 1, "margin": 0.49},
}


def test_a_run_with_everything_in_play_resumes_bit_for_bit(model: Path, tmp_path: Path) -> None:
    class Stop(Nobody):
        def round(self, league, report) -> None:
            if report.round in (2, 3, 4):
                request_stop(league.store.folder)

    agents = {**TWO, "spy": {"role": "exploiter", "targets": ["ada", "max"]}}
    settings = dict(
        agents=agents,
        tasks=contest("max", 12),
        evolution=EVERYTHING,
        evaluation=VERSIONS,
        league__snapshot_every=2,
        league__snapshots_kept=3,
    )
    whole, parts = (config(model, tmp_path / name, "max", 5, **settings) for name in "ab")
    train(prepare(whole), Nobody())
    train(prepare(parts), Stop())
    while True:
        with RunReader.read(parts.folder) as reader:
            if reader.latest_round() == 5:
                break
        resume(parts.folder, Stop())
    reasons = {row.reason for row in _all(whole.folder)}
    assert {"reset", "exploit", "snapshot"} <= reasons and reasons & {"merge", "merge refused"}
    assert run_digest(whole.folder) == run_digest(parts.folder)


def _all(folder: Path) -> list[VersionRow]:
    with RunReader.read(folder) as reader:
        return reader.versions()


def test_an_agent_removed_from_the_config_leaves_and_a_new_one_joins(model: Path, tmp_path: Path) -> None:
    class Stop(Nobody):
        def round(self, league, report) -> None:
            if report.round == 2:
                request_stop(league.store.folder)

    agents = {**TWO, "noor": {"role": "student"}, "spy": {"role": "exploiter", "targets": ["noor"]}}
    folder = train(prepare(config(model, tmp_path, "even", 4, agents, evolution=EVERYTHING)), Stop())
    path = folder / "config.yaml"
    data = yaml.safe_load(path.read_text())
    data["agents"]["zoe"] = data["agents"]["ada"]
    del data["agents"]["noor"]
    data["agents"]["spy"]["targets"] = "league"
    path.write_text(yaml.safe_dump(data))
    resume(folder, Nobody())
    with RunReader.read(folder) as reader:
        assert reader.latest_round() == 4 and "noor" not in reader.live()
        assert "zoe" in reader.live() and reader.version_row(Version("zoe", 0)).round == 3
        assert not any(v.agent == "noor" for match in reader.matches(3) for v in match.seats.values())
        assert any(v.agent == "noor" for v in reader.payoffs("contest", "contest").versions), (
            "what it played still counts"
        )
        state = reader.state()
        assert "noor" not in state["population"]["pasts"] and "noor" not in state["evolution"]["origin"]
        (spy,) = [m for m in state["population"]["members"] if m["name"] == "spy"]
        assert spy["targets"] == "league", "an exploiter without its targets exploits the league"


@pytest.mark.parametrize(
    "agents", [{"ada": {"role": "student"}}, {f"a{i:02}": {"role": "student"} for i in range(64)}], ids=["1", "64"]
)
def test_one_agent_and_sixty_four(model: Path, tmp_path: Path, agents: dict) -> None:
    lonely = len(agents) == 1
    settings = dict(
        tasks=contest("newer", 4 if lonely else 40),
        evolution=EVERYTHING | {"merging": {"every": 1, "method": "svd", "matches": 1, "margin": 0.49}},
        warmup={"student": {"problems": 0}, "expert": {"problems": 0}},
    )
    folder = train(prepare(config(model, tmp_path, "newer", 2, agents, **settings)), Nobody())
    with RunReader.read(folder) as reader:
        assert reader.latest_round() == 2
        assert len(reader.live()) == len(agents) + len([row for row in reader.versions() if row.reason == "merge"])


def test_a_league_in_which_nobody_trains_does_not_evolve(tmp_path: Path) -> None:
    agents = {"rocky": {"role": "scripted", "says": {"rock": 1}}, "pat": {"role": "scripted", "says": {"paper": 1}}}
    task = {"game": {"kind": "matrix_game", "matches": 2, "settings": {"game": "rock-paper-scissors"}}}
    changes = dict(domains={}, tasks=task, evolution={**EVERYTHING, "merging": {**EVERYTHING["merging"], "every": 1}})  # type: ignore[dict-item]
    folder = train(prepare(config(Path("/nowhere"), tmp_path, "even", 2, agents, **changes)), Nobody())
    assert {row.reason for row in _all(folder)} == {"created"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"evolution__task": "contst"}, "'contest'"),
        ({"evolution__pbt": {"confidence": 0.4}}, "evolution.pbt.confidence"),
        ({"evolution__pbt": {"confidenc": 0.9}}, "'confidence'"),
        ({"evolution__merging": {"method": "linear"}}, "'linear' is not one of cat, svd"),
        ({"agents__ada__targets": ["max"]}, "only agents with role 'exploiter'"),
        ({"agents__spy": {"role": "exploiter", "targets": ["mex"]}}, "'max'"),
        ({"agents__spy": {"role": "exploiter", "targets": []}}, "at least one"),
        ({"agents__spy": {"role": "exploiter", "targets": ["spy"]}}, "not another agent"),
    ],
)
def test_impossible_evolutions(model: Path, tmp_path: Path, changes: dict, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        prepare(tiny(model, tmp_path, **changes))


def test_mergers_need_a_contest_to_be_judged_in(model: Path, tmp_path: Path) -> None:
    agents = {"ada": {"role": "co-player"}, "max": {"role": "co-player"}}
    task = {"hunt": {"kind": "matrix_game", "matches": 2, "settings": {"game": "stag-hunt"}}}
    with pytest.raises(ConfigError, match="evolution.merging"):
        prepare(tiny(model, tmp_path, agents=agents, tasks=task, evolution__merging={}))
