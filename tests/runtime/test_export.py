"""Exports tell what was measured, and what was exported stays.

Also where the newest step has never played: a snapshot in the last round, an update since the last exam.
"""

import sqlite3
from pathlib import Path

import pytest

from league.commands.train import resume
from league.commands.verify import _rate
from league.loop import resume as resume_run
from league.loop import train
from league.preflight.checks import prepare
from league.reporting.queries.model_card_facts import card_exam, card_of
from league.reporting.queries.run_status import current_ratings
from league.reporting.text.model_card import Card, model_card
from league.runtime.export import choose, export_agents
from league.store.digests import run_digest
from league.store.lock import RunLock
from league.store.reader import RunReader
from league.store.repair import repair
from league.store.verify import verify
from league.types import Version
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny


class Cards(Nobody):
    """Writes the card of ada's live version after every round, as an export of a live run would."""

    def __init__(self) -> None:
        self.seen: dict[int, Card] = {}

    def round(self, league, report) -> None:
        with RunReader.read(league.store.folder) as reader:
            self.seen[report.round] = card_of(reader, reader.live()["ada"], "base", "run", False)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, Card]]:
    """A finished run of three rounds, measured after the second and the last.

    Its last round ends in a snapshot.
    """
    model = write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)
    cards = Cards()
    config = tiny(model, tmp_path_factory.mktemp("runs"), league__rounds=3, league__snapshot_every=3)
    return train(prepare(config), cards), cards.seen


def test_the_last_snapshot_is_the_version_that_sat_the_last_exam(seen: tuple[Path, dict[int, Card]]) -> None:
    run, cards = seen
    with RunReader.read(run) as reader:
        newest, sat = reader.live()["ada"], {row["version"] for row in reader.state()["marks"]["end"]["exams"]}
        assert reader.version_row(newest).reason == "snapshot" and str(newest) not in sat, (
            "else this test means nothing"
        )
        wanted = next(
            row["correct"] for row in reader.state()["marks"]["end"]["exams"] if row["version"].startswith("ada@")
        )
    card = cards[3]
    assert card.exam is not None and card.exam.sat_by is None and card.exam.split == "test"
    ((domain, estimate),) = card.exam.accuracies
    assert domain == "sums" and estimate.value == pytest.approx(wanted.count("1") / len(wanted)) and estimate.n == 3
    assert "| sums |" in model_card(card) and {row.ladder for row in card.ratings} == {"contest", "exam", "overall"}


def test_a_card_says_which_version_was_measured(seen: tuple[Path, dict[int, Card]]) -> None:
    _, cards = seen
    first, second = cards[1].exam, cards[2].exam
    assert first is not None and second is not None
    assert first.sat_by is not None and first.sat_by.agent == "ada" and first.round == 0
    assert f"Sat by an earlier version, {first.sat_by}, in round 0" in model_card(cards[1])
    assert second.sat_by is None and second.split == "validation" and [e.n for _, e in second.accuracies] == [2]
    assert "validation problems" in model_card(cards[2])


def test_the_lineage_of_a_card_has_no_gap(seen: tuple[Path, dict[int, Card]]) -> None:
    for card in seen[1].values():
        known = {edge.child for edge in card.lineage}
        assert card.lineage[-1].child == f"ada@{card.step}" and not card.lineage[0].parents
        assert all(parent in known for edge in card.lineage for parent in edge.parents)


def test_the_best_by_rating_are_those_with_the_best_rating(seen: tuple[Path, dict[int, Card]]) -> None:
    with RunReader.read(seen[0]) as reader:
        chosen = choose(reader, 3, "rating", [])
        expected = {rating.version.agent: rating.mu - 3 * rating.sigma for rating in current_ratings(reader, "overall")}
    assert [choice.score for choice in chosen] == sorted(
        (expected[choice.version.agent] for choice in chosen), reverse=True
    )


def test_the_best_by_accuracy_are_ranked_by_what_their_cards_show(seen: tuple[Path, dict[int, Card]]) -> None:
    with RunReader.read(seen[0]) as reader:
        for choice in choose(reader, 3, "accuracy", []):
            shown = card_of(reader, choice.version, "base", "run", False).exam
            assert shown is not None and choice.score == pytest.approx(
                sum(e.value for _, e in shown.accuracies) / len(shown.accuracies)
            )


def test_every_rating_is_verified_and_put_back(seen: tuple[Path, dict[int, Card]]) -> None:
    """Also those of versions that are no longer live: their successors carry them on."""
    run, _ = seen
    before = run_digest(run)
    with RunReader.read(run) as reader:
        stored = reader.ratings()
        assert not {rating.version for rating in stored} & set(reader.live().values()) and stored
    assert verify(run, _rate).checked["ratings"] == len(stored)
    for change, problem in (
        ("DELETE FROM ratings", "is missing"),
        ("UPDATE ratings SET mu = mu + 1", "but the matches give"),
    ):
        with sqlite3.connect(run / "league.db") as connection:
            connection.execute(change)
        connection.close()
        assert any(problem in line for line in verify(run, _rate).problems)
        assert repair(run, _rate).sound and run_digest(run) == before


def test_an_agent_that_was_rolled_back_shows_the_exam_of_the_weights_it_has(seen: tuple[Path, dict[int, Card]]) -> None:
    """Rolled back after the last exam to what it was at an earlier one.

    That one's figures are its own, the last one's are not.
    """
    run, _ = seen
    with RunReader.read(run) as reader:
        state, rows = reader.state(), {row.version: row for row in reader.versions("ada")}
        sat = {Version.parse(row["version"]) for exams in state["marks"].values() for row in exams["exams"]}
        middle = next(
            m.seats[s] for m in reader.matches(2, 2) if m.task == "exam" for s in m.seats if m.seats[s].agent == "ada"
        )
        assert middle not in sat, "else this test means nothing"
        back = rows[middle]
        reader.version_row = lambda version: back if version.step == 99 else rows[version]  # type: ignore[method-assign]
        found = card_exam(reader, state, Version("ada", 99))
    assert found is not None and found.sat_by is None and found.split == "validation" and found.round == 2


def test_a_finished_run_says_that_there_was_nothing_to_resume(
    seen: tuple[Path, dict[int, Card]], capsys: pytest.CaptureFixture[str]
) -> None:
    resume(seen[0])
    assert "no round was played (stopped: all rounds played)" in capsys.readouterr().out


def test_an_exported_version_survives_the_rounds_after(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Exported while the run is live and between two processes, it stays.

    The run ends as one that was never exported.
    """
    model = write_tiny_model(tmp_path / "model", max_position_embeddings=1024)
    exported: list[Version] = []

    class Export(Nobody):
        def round(self, league, report) -> None:
            if report.round == 1:
                exported.append(save(league.store.folder, "live"))

    def save(run: Path, name: str) -> Version:
        with RunReader.read(run) as reader:
            (done,) = export_agents(run, reader, choose(reader, 1, "rating", ["ada"]), tmp_path / name)
        assert (done.folder / "adapter_model.safetensors").is_file()
        return done.version

    def go_on(run: Path) -> None:
        longer = tiny(model, run.parent, league__rounds=5)
        (run / "config.yaml").write_text(longer.dump(), encoding="utf-8")
        resume_run(run, Nobody())

    run = train(prepare(tiny(model, tmp_path / "runs", league__rounds=2)), Export())
    exported.append(save(run, "between"))
    go_on(run)
    with RunReader.read(run) as reader:
        assert reader.pins() == [(version, "export") for version in exported] and len(set(exported)) == 2
        for row in (reader.version_row(version) for version in exported):
            assert row.round < min(reader.kept_rounds()), "else this test means nothing"
            assert row.blob is not None and reader.blobs.problem(row.blob) is None
    assert verify(run, _rate).sound and not caplog.records
    plain = train(prepare(tiny(model, tmp_path / "plain", league__rounds=2)), Nobody())
    go_on(plain)
    assert run_digest(run) == run_digest(plain)


def test_a_run_that_cannot_be_written_is_exported_with_a_warning(
    seen: tuple[Path, dict[int, Card]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, _ = seen
    monkeypatch.setattr(RunLock, "_take", lambda _: (_ for _ in ()).throw(OSError(30, "Read-only file system")))
    with RunReader.read(run) as reader:
        (done,) = export_agents(run, reader, choose(reader, 1, "rating", ["ada"]), tmp_path / "out")
        assert reader.pins() == []
    assert (done.folder / "adapter_model.safetensors").is_file()
    assert "not pinned" in caplog.text and "Read-only file system" in caplog.text
