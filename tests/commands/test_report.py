"""`league report` replaces nothing but an earlier report of the same run."""

from pathlib import Path

import pytest

from league.commands.report import report
from league.errors import UserError
from tests.chaos.scripted import Script, run_to


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two runs, begun in the same second; the current folder is the one around them."""
    monkeypatch.chdir(tmp_path)
    one, two = Path("one"), Path("two")
    for folder in (one, two):
        run_to(folder, 1, Script())
    return one, two


def test_a_report_is_written_again_and_never_over_another_runs(runs: tuple[Path, Path], tmp_path: Path) -> None:
    one, two = runs
    report(one)
    first = Path("report.html").read_bytes()
    run_to(one, 2, Script())
    report(one)
    newer = Path("report.html").read_bytes()
    assert newer != first
    with pytest.raises(UserError, match=r"report.html is there already and is the report of another run; .*--out"):
        report(two)
    with pytest.raises(UserError, match="the report of another run"):
        report(two, out=tmp_path / "report.html")
    assert Path("report.html").read_bytes() == newer
    report(two, out=Path("two.html"))
    assert b"<title>two" in Path("two.html").read_bytes()


def test_a_file_that_is_no_report_stays(runs: tuple[Path, Path]) -> None:
    one, two = runs
    Path("notes.txt").write_text("mine")
    with pytest.raises(UserError, match="notes.txt is there already and is not a report"):
        report(one, out=Path("notes.txt"))
    assert Path("notes.txt").read_text() == "mine"
    for name in ("config.yaml", "league.db", "stop", "blobs/new"):  # `stop` and others need not be there to do harm
        before = {path: path.read_bytes() for path in two.rglob("*") if path.is_file()}
        with pytest.raises(UserError, match="would be a file of a run; name one that ends in .html"):
            report(one, out=two / name)
        assert {path: path.read_bytes() for path in two.rglob("*") if path.is_file()} == before
    report(one, out=one / "page.html")
    assert (one / "page.html").is_file()
