"""Folders of what is under way: swept when nobody holds them, left alone while somebody does."""

import os
import signal
import threading
from pathlib import Path

import pytest

from league.errors import ModelUnavailable
from league.model import fetch
from league.model.fetch import locate_model
from league.model.folder import check_model, weight_hash
from league.model.staging import staging, sweep_staging
from tests.chaos.damage import flip
from tests.chaos.faults import in_child
from tests.conftest import write_tiny_model


def killed_in(place: Path, prefix: str) -> None:
    """A process that dies while it stages 1 kB."""

    def work() -> None:
        with staging(place, prefix) as folder:
            (folder / "part").write_bytes(bytes(1000))
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(work) == -signal.SIGKILL


def test_what_a_killed_process_left_is_swept_by_the_next_one(tmp_path: Path) -> None:
    (tmp_path / ".fetch-of-a-person").write_text("a file is no folder")
    (tmp_path / "other").mkdir()
    killed_in(tmp_path, ".fetch-")
    killed_in(tmp_path, ".fetch-")
    assert len(list(tmp_path.glob(".fetch-*/part"))) in (1, 2), "the second one may have swept the first"
    with staging(tmp_path, ".fetch-") as mine:
        assert [path for path in tmp_path.glob(".fetch-*") if path.is_dir()] == [mine]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".fetch-of-a-person", "other"]


def test_what_is_in_use_is_left_alone(tmp_path: Path) -> None:
    with staging(tmp_path, ".x-") as first, staging(tmp_path, ".x-") as second:
        assert first.is_dir() and second.is_dir() and sweep_staging(tmp_path, ".x-") == 0
    assert not list(tmp_path.iterdir())


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / ".x-link").symlink_to(tmp_path / "kept")
    assert sweep_staging(tmp_path, ".x-") == 0 and (tmp_path / "kept").is_dir()
    assert sweep_staging(tmp_path / "nowhere", ".x-") == 0


def test_many_at_once_do_not_sweep_one_another(tmp_path: Path) -> None:
    lost: list[Path] = []

    def work() -> None:
        for _ in range(50):
            with staging(tmp_path, ".x-") as folder:
                (folder / "a").write_text("a")
                if not (folder / "a").is_file():
                    lost.append(folder)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not lost and not list(tmp_path.iterdir())


def test_a_model_in_the_cache_is_found_and_debris_beside_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEAGUE_CACHE", str(tmp_path))
    write_tiny_model(tmp_path / "models" / "org--name")
    killed_in(tmp_path / "models", fetch.STAGING)
    (tmp_path / "models" / ".fetch-old").mkdir()
    assert locate_model("org/name").is_dir()
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["org--name"]


def test_a_flipped_bit_of_the_base_is_found_before_it_is_used(tmp_path: Path) -> None:
    """Size and time as before, as on a failing disk. What was known is not overwritten by what is damaged."""
    model = write_tiny_model(tmp_path / "model")
    good, (file,) = weight_hash(model), sorted(model.glob("*.safetensors"))
    times = file.stat()
    flip(file, file.stat().st_size - 3, 2)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert check_model(model).weight_hash == good, "a look does not read 269 MB"
    for _ in range(2):
        with pytest.raises(ModelUnavailable, match="damaged"):
            check_model(model, fresh=True)
    flip(file, file.stat().st_size - 3, 2)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert check_model(model, fresh=True).weight_hash == good
