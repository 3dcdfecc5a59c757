"""The tables of a run: columns and dtypes, values against the reader's own, empty, live, older and damaged runs."""

import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import league
from league.api import payoff_tables, tables
from league.errors import RunFolderError, UserError
from league.store.run import RunStore
from tests.chaos.scripted import Script, play_round, run_to
from tests.conftest import ROOT
from tests.helpers.reporting_run import PROBLEMS, ROUNDS, make_run

OLD = ROOT / "tests" / "fixtures" / "store" / "schema_v1"
ALL = {
    "matches": tables.MATCHES,
    "seats": tables.SEATS,
    "outcomes": tables.OUTCOMES,
    "payoffs": payoff_tables.PAYOFFS,
    "ratings": tables.RATINGS,
    "scalars": tables.SCALARS,
    "exams": tables.EXAMS,
    "lineage": tables.LINEAGE,
    "transcripts": tables.TRANSCRIPTS,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> league.OpenRun:
    return league.open(make_run(tmp_path_factory.mktemp("runs") / "synthetic"))


def read(run: league.OpenRun, name: str) -> pd.DataFrame:
    methods = {
        "matches": run.matches,
        "seats": run.seats,
        "outcomes": run.outcomes,
        "payoffs": run.payoffs,
        "ratings": run.ratings,
        "scalars": run.scalars,
        "exams": run.exams,
        "lineage": run.lineage,
        "transcripts": run.transcripts,
    }
    return methods[name]()


@pytest.mark.parametrize("name", ALL)
def test_columns_and_dtypes_are_the_same_with_rows_and_without(name: str, run: league.OpenRun, tmp_path: Path) -> None:
    RunStore.create(tmp_path / "empty", "name: empty\n").close()
    empty = read(league.open(tmp_path / "empty"), name)
    full = read(run, name)
    assert len(empty) == 0 and len(full) > 0
    for found in (full, empty):
        assert {column: str(dtype) for column, dtype in found.dtypes.items()} == dict(ALL[name])


@pytest.mark.parametrize("name", ALL)
def test_every_column_is_documented(name: str) -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^### `run\.{name}\(.*?(?=^##)", page, flags=re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (`[^|]+) \| `(\w+)` \|", section, flags=re.MULTILINE)
    said = {column: dtype for columns, dtype in rows for column in re.findall(r"`(\w+)`", columns)}
    assert said == dict(ALL[name])


def test_matches_seats_and_outcomes_are_those_of_the_reader(run: league.OpenRun) -> None:
    with run.reader() as reader:
        stored, outcomes = list(reader.matches()), list(reader.outcomes())
    found = run.matches()
    assert found[["round", "match", "task"]].values.tolist() == [[m.round, m.id, m.task] for m in stored]
    assert found[["individual", "team", "competitive"]].values.tolist() == [list(m.rewards) for m in stored]
    seats = run.seats()
    assert seats[["match", "seat", "agent", "step"]].values.tolist() == [
        [m.id, seat, v.agent, v.step] for m in stored for seat, v in m.seats.items()
    ]
    told = run.outcomes()
    assert told[["match", "row_agent", "row_step", "col_agent", "wins", "n", "total"]].values.tolist() == [
        [each.match, o.row.agent, o.row.step, o.col.agent, o.wins, o.n, o.total]
        for each in outcomes
        for o in (each.outcome,)
    ]
    assert set(told["domain"]) == {"gcd"} and set(told["relation"]) == {"contest", "teaching"}
    assert set(run.matches(2, 3)["round"]) == {2, 3} and set(run.outcomes(since=ROUNDS)["round"]) == {ROUNDS}


def test_void_matches_have_no_outcomes(tmp_path: Path) -> None:
    run_to(tmp_path / "run", 12, Script(matches=8))
    run = league.open(tmp_path / "run")
    void = run.matches().query("void.notna()")
    assert len(void) and set(void["void"]) == {"unreachable"}
    assert not set(void["match"]) & set(run.outcomes()["match"])


def test_exams_say_which_problems_they_were_on(run: league.OpenRun) -> None:
    found = run.exams().set_index(["round", "agent", "domain"])
    first, between = found.loc[(0, "alice", "gcd")], found.loc[(3, "alice", "gcd")]
    assert (first["split"], first["problems"]) == ("test", PROBLEMS) and first["low"] < 0.2 < first["high"]
    assert (between["split"], between["problems"]) == ("validation", 50)
    assert found.loc[(0, "gcd_expert", "gcd")]["problems"] == 50, "experts sit a shorter exam"


def test_payoffs_and_their_matrix_agree(run: league.OpenRun) -> None:
    cells = run.payoffs("contest", "default")
    assert np.allclose(cells["mean"], (cells["wins"] + cells["draws"] / 2) / (cells["n"]))
    assert (cells["low"] <= cells["mean"]).all() and (cells["mean"] <= cells["high"]).all()
    matrix = run.payoff_matrix("contest", by="version")
    row = cells.iloc[0]
    first, second = f"{row['row_agent']}@{row['row_step']}", f"{row['col_agent']}@{row['col_step']}"
    assert matrix.loc[first, second] == pytest.approx(row["mean"])
    both = matrix + matrix.T
    assert np.allclose(both.to_numpy()[both.notna().to_numpy()], 1.0)
    taught = run.payoff_matrix("teaching")
    assert taught.shape == (1, 1) and taught.loc["gcd_expert", "alice"] == pytest.approx(0.2)


def test_transcripts_have_a_row_for_each_reply(run: league.OpenRun) -> None:
    found = run.transcripts()
    match = found["match"].iloc[0]
    shown = run.transcript(match)
    replies = [reply["text"] for turn in shown["turns"] for reply in turn["replies"]]
    assert found.query("match == @match")["text"].tolist() == replies


def test_scalars_by_name(run: league.OpenRun) -> None:
    with run.reader() as reader:
        rounds, values = reader.scalars("x")
    found = run.scalars("x")
    assert found["round"].tolist() == rounds.tolist() and found["value"].tolist() == values.tolist()
    assert found["name"].cat.categories.tolist() == ["x"]
    with pytest.raises(UserError, match="did you mean 'accuracy/alice/gcd'"):
        run.scalars("accuracy/alise/gcd")


def test_an_older_run_is_read_without_its_views() -> None:
    old, before = league.open(OLD), (OLD / "league.db").read_bytes()
    with old.reader() as reader:
        stored = list(reader.matches())
    assert old.matches()["match"].tolist() == [m.id for m in stored] and len(old.seats()) == 2 * len(stored)
    assert len(old.outcomes()) == sum(len(m.outcomes) for m in stored if m.void is None)
    with pytest.raises(UserError, match="`league resume` adds the views"):
        old.sql("SELECT * FROM matches_view")
    assert (OLD / "league.db").read_bytes() == before


def test_sql_reads_and_never_writes(run: league.OpenRun) -> None:
    found = run.sql("SELECT agent, count(*) AS n FROM seats_view WHERE round <= :last GROUP BY agent", {"last": 1})
    assert dict(found.itertuples(index=False)) == {"alice": 8, "bob": 4, "base": 2, "gcd_expert": 2}
    for query in ("DELETE FROM rounds", "SELECT * FROM nothing", "SELECT 1; SELECT 2", "CREATE TEMP TABLE x (y)"):
        with pytest.raises(UserError, match=query.partition(" ")[0]):
            run.sql(query)
    other = run.folder.with_name("other.db")
    for query in (f"ATTACH '{other}' AS other", f"VACUUM INTO '{other}'"):
        with pytest.raises(UserError, match="not authorized|authorization denied"):
            run.sql(query)
    assert not other.exists()


def test_a_live_run_is_read_while_it_commits(tmp_path: Path) -> None:
    """The writer is never blocked, and every table is of whole rounds."""
    script, done = Script(matches=8), threading.Event()
    store = RunStore.create(tmp_path / "run", "name: live\n", script.retention)
    store.close()
    found, failed = [], []

    def look() -> None:
        run = league.open(tmp_path / "run")
        while not done.is_set():
            try:
                found.append(len(run.matches()))
                run.scalars(), run.payoffs()
            except Exception as error:  # noqa: BLE001 (the test shows it)
                failed.append(error)

    watcher = threading.Thread(target=look)
    watcher.start()
    with RunStore.open(tmp_path / "run", script.retention) as store:
        for _ in range(10):
            play_round(store, script)
    done.set()
    watcher.join()
    assert not failed and found and all(count % 8 == 0 for count in found)


@pytest.mark.parametrize(("what", "message"), [("missing", "no run folder at"), ("damaged", "damaged")])
def test_what_cannot_be_read_is_said_in_words(tmp_path: Path, what: str, message: str) -> None:
    if what == "damaged":
        run_to(tmp_path / "run", 3, Script())
        with closing(sqlite3.connect(tmp_path / "run" / "league.db")) as connection, connection:
            connection.execute("UPDATE rounds SET block = x'00' WHERE round = 1")
            connection.execute("DELETE FROM match_rows")
    with pytest.raises(RunFolderError, match=message):
        league.open(tmp_path / "run").matches()


def test_wrong_words_are_answered_with_right_ones(run: league.OpenRun) -> None:
    for call, message in (
        (lambda: run.payoffs("contst"), "did you mean 'contest'"),
        (lambda: run.payoffs("contest", "defalt"), "did you mean 'default'"),
        (lambda: run.payoff_matrix("contest", by="agents"), "did you mean 'agent'"),  # type: ignore[arg-type]
        (lambda: run.transcript("0-x"), "has no transcript"),
        (lambda: run.agent("alise"), "did you mean 'alice'"),
        (lambda: run.agent("alice@77"), "alice@77"),
    ):
        with pytest.raises(UserError, match=message):
            call()


def test_the_folder_may_be_left_and_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_to(tmp_path / "run", 2, Script())
    monkeypatch.chdir(tmp_path)
    run = league.open("run")
    monkeypatch.chdir("/")
    assert run.round == 1 and not run.alive and run.name == "run" and len(run.lineage()) == 6
    shutil.copytree(run.folder, tmp_path / "copy")
    assert run.matches().equals(league.open(tmp_path / "copy").matches())


def test_importing_and_opening_load_neither_pandas_nor_torch() -> None:
    code = (
        "import league, sys; assert not {'numpy', 'pandas', 'torch', 'sqlite3'} & set(sys.modules);"
        f"run = league.open({str(OLD)!r}); assert run.round == 4 and {{'open', 'train'}} <= set(dir(league));"
        "assert not {'pandas', 'torch', 'transformers', 'matplotlib'} & set(sys.modules);"
        "run.matches(); run.payoffs(); assert not {'torch', 'transformers', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
