"""The program as a user meets it.

Exit codes, start-up without torch, JSON, and that every command is documented.
"""

import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from league import cli
from league.commands import COMMANDS
from league.errors import UserError
from league.loop import train
from league.preflight.checks import prepare
from tests.leagues import Nobody, tiny
from tests.preflight.test_input import WORDS

ROOT = Path(__file__).parents[2]


def league(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "league", *arguments], capture_output=True, text=True, cwd=cwd, timeout=120
    )


def test_programs_started_by_tests_run_this_checkout(tmp_path: Path) -> None:
    code = "import league, tasks; print(league.__file__, tasks.__file__)"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path
    ).stdout
    assert shown.split() == [str(ROOT.resolve() / name / "__init__.py") for name in ("league", "tasks")]


def test_help_of_every_command() -> None:
    shown = league("--help")
    assert shown.returncode == 0
    for name in COMMANDS:
        assert name in shown.stdout


def test_every_command_is_documented() -> None:
    text = (ROOT / "README.md").read_text() + (ROOT / "docs" / "commands.md").read_text()
    missing = [name for name in COMMANDS if f"league {name}" not in text]
    assert not missing


LIGHT = """
import sys
sys.argv = ["league", *{arguments!r}]
from league.cli import main
try:
    main()
except SystemExit:
    pass
heavy = ("torch", "transformers", "peft", "matplotlib", "reasoning_gym", "openai", *{more!r})
print("HEAVY", [name for name in heavy if name in sys.modules])
"""


LIGHT_COMMANDS = (
    "--help", "train --help", "train none.yaml", "status none", "payoffs none", "analyze none.csv", "grade a b",
    "verify none", "ladder none", "check none.yaml", "problems none.yaml sums", "check --help",
)  # fmt: skip


@pytest.mark.parametrize("arguments", [command.split() for command in LIGHT_COMMANDS])
def test_light_commands_do_not_import_torch(arguments: list[str]) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", LIGHT.format(arguments=arguments, more=("pandas",))],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "HEAVY []" in shown.stdout


def test_commands_that_read_a_run_do_not_import_torch(tmp_path: Path) -> None:
    """On a real run folder, one after the other in one process."""
    run = train(prepare(tiny(Path("/nowhere"), tmp_path, **WORDS)), Nobody())
    commands = [
        ["status"],
        *(
            [name, str(run)]
            for name in ("status", "payoffs", "cycles", "ladder", "lineage", "verify", "show-match", "stop")
        ),
    ]
    code = "".join(LIGHT.format(arguments=arguments, more=("pandas",)) for arguments in commands)
    code += LIGHT.format(arguments=["compare", str(run), str(run)], more=())
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert shown.stdout.count("HEAVY []") == len(commands) + 1, shown.stdout + shown.stderr


WRONG_COMMANDS = (
    "train none.yaml", "resume none", "status none", "stop none", "payoffs none", "cycles none", "ladder none",
    "lineage none", "evaluate none", "play none x", "show-match none", "export none --out x", "report none",
    "compare none none", "verify none", "analyze none.csv", "grade none none", "nonsense", "train",
    "check none.yaml", "problems none.yaml sums",
)  # fmt: skip


@pytest.mark.parametrize("arguments", [command.split() for command in WRONG_COMMANDS])
def test_a_users_error_is_exit_code_2_without_traceback(arguments: list[str], tmp_path: Path) -> None:
    shown = league(*arguments, cwd=tmp_path)
    assert shown.returncode == 2, shown.stderr
    assert shown.stderr.strip() and "Traceback" not in shown.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_error_that_quotes_a_file_does_not_ring_the_bell(tmp_path: Path) -> None:
    (tmp_path / "loud.csv").write_text(",a,b\na,.5,\x07\x1b]0;title\nb,.5,.5\n")
    shown = league("analyze", "loud.csv", cwd=tmp_path)
    assert shown.returncode == 2 and "found '␇␛]0;title'" in shown.stderr


def test_a_bad_config_lists_everything_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "name: x\nagents: {a: {role: studnt}}\ntasks: {t: {knd: contest, matches: 1}}\nlegue: {}\n"
    )
    shown = league("train", "bad.yaml", cwd=tmp_path)
    assert shown.returncode == 2
    for hint in ("'student'", "'kind'", "'league'"):
        assert hint in shown.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


def test_a_run_is_read_by_every_table_command(tmp_path: Path) -> None:
    """A scripted league trains without a model; each command that prints a table gives JSON too."""
    config = """
name: words
runs: .
agents:
  rocky: {role: scripted, says: {rock: 1}}
  pat: {role: scripted, says: {paper: 1}}
  sid: {role: scripted, says: {scissors: 1}}
tasks: {game: {kind: matrix_game, matches: 9, settings: {game: rock-paper-scissors}}}
league: {rounds: 6}
"""
    (tmp_path / "words.yaml").write_text(config)
    shown = league("train", "words.yaml", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    for command in ("status", "payoffs", "cycles", "ladder", "lineage", "verify", "show-match"):
        plain, machine = league(command, "words", cwd=tmp_path), league(command, "words", "--json", cwd=tmp_path)
        assert plain.returncode == machine.returncode == 0, (command, plain.stderr, machine.stderr)
        assert plain.stdout.strip()
        json.loads(machine.stdout)
    checked = json.loads(league("verify", "words", "--json", cwd=tmp_path).stdout)["checked"]
    assert checked["ratings"] == 6, "three agents on two ladders, rated again from the matches"
    shown = league("play", "words", "rocky", "pat", cwd=tmp_path)
    assert shown.returncode == 0 and "paper" in shown.stdout, shown.stderr
    again = league("train", "words.yaml", cwd=tmp_path)
    assert again.returncode == 2 and "league resume" in again.stderr
    assert league("report", "words", "--out", "page.html", cwd=tmp_path).returncode == 0
    assert (tmp_path / "page.html").read_text().lower().startswith("<!doctype html")


@pytest.mark.parametrize("quiet", [True, False])
def test_quiet_prints_nothing_but_errors(
    quiet: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def noisy(path: Path, overrides: list[str], *, progress) -> None:
        progress("looking for a model ...")
        warnings.simplefilter("always")  # as some libraries do
        warnings.warn("this will change", FutureWarning, stacklevel=1)
        logging.getLogger("league.engine").warning("using the slower engine")
        raise UserError("this is wrong")

    monkeypatch.setattr("league.preflight.checks.prepare_file", noisy)
    monkeypatch.setattr(sys, "argv", ["league", "train", "x.yaml", *["--quiet"] * quiet])
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    log = logging.StreamHandler(sys.stderr)
    logging.getLogger("league").addHandler(log)
    try:
        with warnings.catch_warnings(), pytest.raises(SystemExit):
            warnings.showwarning = lambda message, *_, **__: print(message, file=sys.stderr)
            cli.main()
    finally:
        logging.getLogger("league").removeHandler(log)
    told = capsys.readouterr().err.splitlines()
    others = [] if quiet else ["looking for a model ...", "this will change", "using the slower engine"]
    assert told == [*others, "error: this is wrong"]
    assert logging.getLogger("league.engine").isEnabledFor(logging.WARNING), "quiet must end with the command"
