"""Round 0 is durable: a warm-up that is stopped or killed goes on from its last kept step, bit for bit."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from league.config import Config
from league.loop import resume, train
from league.preflight.checks import prepare
from league.reporting.queries.run_status import status
from league.round.heartbeats import Heartbeats
from league.store.digests import run_digest
from league.store.reader import RunReader
from league.store.run import RunStore, request_stop
from league.store.warmup_progress import FILE, steps_kept
from tests.chaos.faults import in_child
from tests.conftest import write_tiny_model
from tests.leagues import Nobody, tiny

AGENTS = {
    "adder": {"role": "expert", "domain": "sums"},
    "ada": {"role": "student"},
    "branched": {"role": "student", "branch": "ada", "warmup": {"problems": 3, "first": 20, "batch": 1}},
}
STEPS = 6 + 3
"""adder has six steps and ada two of them in the first wave; branched has three in the second."""


def config(model: Path, runs: Path, **changes: object) -> Config:
    warmup = {"expert": {"problems": 12, "batch": 2}, "student": {"problems": 4, "batch": 2}}
    return tiny(model, runs, agents=AGENTS, warmup=warmup, league__rounds=1, **changes)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=1024)


@pytest.fixture(scope="module")
def run(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed."""
    return train(prepare(config(model, tmp_path_factory.mktemp("runs"))), Nobody())


class AtStep(Nobody):
    """Does something when people hear of a step of the warm-up, and notes what they hear."""

    def __init__(self, step: int, act: Callable[[Path], None] = lambda folder: None):
        self.step, self.act, self.heard = step, act, []

    def phase(self, league, number: int, text: str) -> None:
        if text.startswith("warm-up"):
            self.heard.append(text)
        if text.startswith(f"warm-up, step {self.step} of"):
            self.act(league.store.folder)


def interrupt(folder: Path) -> None:
    raise KeyboardInterrupt


def steps_in(heard: list[str]) -> list[int]:
    return [int(text.split()[2]) for text in heard]


@pytest.mark.parametrize("step", [1, 6, 8, 9])
def test_an_interrupted_warm_up_goes_on_from_its_last_kept_step(
    model: Path, run: Path, tmp_path: Path, step: int
) -> None:
    """In the first wave, at its end, in the second, and behind all steps."""
    chosen = config(model, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(prepare(chosen), AtStep(step, interrupt))
    kept = steps_kept(chosen.folder)
    assert kept is not None and 1 <= kept[0] <= step and kept[1] == STEPS
    again = AtStep(0)
    resume(chosen.folder, again)
    taken = steps_in(again.heard)
    assert taken[-1] == STEPS and [each for each in taken if each > kept[0]] == list(range(kept[0] + 1, STEPS + 1))
    assert run_digest(chosen.folder) == run_digest(run)
    assert not (chosen.folder / FILE).exists(), "round 0 holds it now"
    with RunReader.read(chosen.folder) as reader:
        named = {sha for row in reader.versions() for sha in (row.blob, row.optimizer)}
        assert set(reader.blobs.hashes()) <= named, "the warm-up's own blobs are gone"


def test_a_request_to_stop_ends_the_warm_up_behind_its_step(model: Path, run: Path, tmp_path: Path) -> None:
    chosen = config(model, tmp_path)
    train(prepare(chosen), AtStep(4, request_stop))
    assert steps_kept(chosen.folder) == (4, STEPS)
    with RunReader.read(chosen.folder) as reader:
        assert reader.latest_round() is None
        assert status(reader).state == "stopped in round 0: 4 of 9 steps of the warm-up are kept"
    resume(chosen.folder, Nobody())
    assert run_digest(chosen.folder) == run_digest(run)


def test_a_signal_is_answered_at_once(
    model: Path, run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chosen, said = config(model, tmp_path), []

    def signalled(folder: Path) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        said.append(capfd.readouterr().err)

    train(prepare(chosen), AtStep(3, signalled))
    assert "finishing this step of the warm-up (about 1 s); again to stop now" in said[0]
    assert steps_kept(chosen.folder) == (3, STEPS)


@pytest.mark.parametrize("spoil", ["torn", "letter", "blob", "other"])
def test_what_cannot_be_trusted_costs_time_and_nothing_else(model: Path, run: Path, tmp_path: Path, spoil: str) -> None:
    chosen = config(model, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(prepare(chosen), AtStep(4, interrupt))
    file = chosen.folder / FILE
    text = file.read_text()
    if spoil == "torn":
        file.write_text(text[: len(text) // 2])
    elif spoil == "letter":
        file.write_text(text.replace('"step":', '"step": 1', 1))
    elif spoil == "blob":
        blob = next((chosen.folder / "blobs").glob("*/tensors.safetensors"))
        data = bytearray(blob.read_bytes())
        data[-1] ^= 1
        blob.write_bytes(data)
    else:  # an edited config has another warm-up
        path = chosen.folder / "config.yaml"
        path.write_text(path.read_text().replace("learning_rate: 0.001", "learning_rate: 0.002"))
    again = AtStep(0)
    resume(chosen.folder, again)
    assert steps_in(again.heard) == list(range(1, STEPS + 1)), "from the beginning"
    assert (run_digest(chosen.folder) == run_digest(run)) == (spoil != "other")


def test_killed_at_random_moments_it_ends_the_same(model: Path, run: Path, tmp_path: Path) -> None:
    """kill −9 at ten moments of the warm-up, between steps and inside the writing of one."""
    chosen, moments = config(model, tmp_path), random.Random(5)

    def attempt(left: float) -> None:
        class Killed(Nobody):
            def phase(self, league, number: int, text: str) -> None:
                if text.startswith("warm-up") and signal.getitimer(signal.ITIMER_REAL)[0] == 0:
                    signal.setitimer(signal.ITIMER_REAL, left)

        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        if chosen.folder.exists():
            resume(chosen.folder, Killed())
        else:
            train(prepare(chosen), Killed())

    killed = 0
    for _ in range(10):
        left = moments.uniform(0.001, 0.08)
        killed += in_child(partial(attempt, left)) == -signal.SIGALRM
    assert killed >= 5, "or the moments are too late to say anything"
    if run_done(chosen.folder) < 1:
        resume(chosen.folder, Nobody())
    assert run_digest(chosen.folder) == run_digest(run)


def run_done(folder: Path) -> int:
    with RunReader.read(folder) as reader:
        latest = reader.latest_round()
        return -1 if latest is None else latest


# ---------------------------------------------------------------------------------------------- signs of life
def test_a_live_run_gives_signs_of_life_and_says_since_when_it_is_where_it_is(run: Path) -> None:
    with RunStore.open(run) as store, Heartbeats(store, every=0.02):
        store.beat(1, "update", "agent 2 of 3")
        with RunReader.read(run) as reader:
            first = reader.heartbeat()
            time.sleep(0.3)
            second = reader.heartbeat()
            assert first is not None and second is not None
            assert second.at > first.at and second.since == first.since and second.age < 0.25
            assert status(reader).state == "running (update, agent 2 of 3, round 1)"


def test_a_run_that_hangs_looks_like_one_however_alive_it_is(run: Path) -> None:
    beat = {"pid": os.getpid(), "round": 1, "phase": "update", "at": time.time(), "since": time.time() - 4000}
    with RunStore.open(run):
        (run / "heartbeat.json").write_text(json.dumps(beat))
        with RunReader.read(run) as reader:
            assert status(reader).state.startswith("stalled? (process")
