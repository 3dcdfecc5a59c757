"""Every class of hostile answer gets the right verdict.

It touches nothing, leaves nothing, and the next answer is graded as ever.
"""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from league.sandbox import humaneval
from league.sandbox.pool import Grader, Job
from league.sandbox.values import CodeProblem, Grade, Limits
from tests.helpers.hostile_answers import ALL, Hostile, filled

LIMITS = Limits(cpu_s=1.0, wall_s=8.0, memory_mb=381, check_cpu_s=2.0)
MARK = b'"memory_mb": 381'
"""In the command line of every process of these tests' graders."""


@pytest.fixture(scope="module")
def problems() -> dict[str, CodeProblem]:
    return humaneval.bundled()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """A folder, sockets and a process that must be left alone."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "secret").write_text("secret")
    (folder / "secret").chmod(0o600)
    tcp, udp = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    port = tcp.getsockname()[1]
    udp.bind(("127.0.0.1", port))
    unix, abstract = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    unix_path = str(folder.parent / "s")
    unix.bind(unix_path)
    abstract.bind(f"\0league-abstract-{os.getpid()}")
    ears = (tcp, udp, unix, abstract)
    for ear in ears:
        ear.setblocking(False)
        if ear is not udp:
            ear.listen()
    victim = subprocess.Popen(["sleep", "600"])
    os.environ["LEAGUE_SECRET"] = "secret"
    yield {"tmp": folder, "port": port, "unix": unix_path, "victim": victim.pid, "ears": ears, "process": victim}
    del os.environ["LEAGUE_SECRET"]
    victim.kill()
    victim.wait()
    for ear in ears:
        ear.close()


@pytest.fixture(scope="module")
def grades(problems: dict[str, CodeProblem], world: dict[str, object]) -> dict[str, Grade]:
    """All of them in one go on two judges, so that each is graded after and beside others."""
    jobs = [Job(problems[hostile.task], code(hostile, world)) for hostile in ALL]
    with Grader(workers=2, limits=LIMITS) as grader:
        return dict(zip([hostile.name for hostile in ALL], grader.grade(jobs), strict=True))


def code(hostile: Hostile, world: dict[str, object]) -> str:
    return filled(hostile, **{name: world[name] for name in ("tmp", "port", "unix", "victim")})


def test_names_are_distinct() -> None:
    assert len({hostile.name for hostile in ALL}) == len(ALL) > 150


@pytest.mark.parametrize("hostile", ALL, ids=lambda hostile: f"{hostile.group}-{hostile.name}".replace(" ", "_"))
def test_verdict(hostile: Hostile, grades: dict[str, Grade]) -> None:
    grade = grades[hostile.name]
    assert grade.verdict == hostile.verdict, grade
    if hostile.suspect is not None:
        assert grade.suspect == hostile.suspect, grade


def test_nothing_was_touched(grades: dict[str, Grade], world: dict[str, object]) -> None:
    folder = world["tmp"]
    assert isinstance(folder, Path)
    assert [entry.name for entry in folder.iterdir()] == ["secret"]
    assert (folder / "secret").read_text() == "secret"
    assert (folder / "secret").stat().st_mode & 0o777 == 0o600
    assert not Path("/dev/shm/league-bomb").exists()
    assert not Path("written").exists() and not Path("/written").exists()
    victim = world["process"]
    assert isinstance(victim, subprocess.Popen) and victim.poll() is None
    ears = world["ears"]
    assert isinstance(ears, tuple)
    for ear in ears:
        with pytest.raises(BlockingIOError):
            ear.recv(1) if ear.type == socket.SOCK_DGRAM else ear.accept()


def test_nothing_is_left(grades: dict[str, Grade]) -> None:
    left = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if MARK in (entry / "cmdline").read_bytes():
                    left.append(entry.name)
            except OSError:
                continue
    assert not left
