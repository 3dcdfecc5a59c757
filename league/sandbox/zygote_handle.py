"""The judge's handle on its zygote.

It starts the zygote with the strongest confinement the system allows, takes answers from it, and has them reaped.
"""

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from league.sandbox.channel import Answer, Ended
from league.sandbox.values import Confinement, Limits
from league.sandbox.zygote import Options

_ROOT = str(Path(__file__).resolve().parents[2])
_BOOT = "import sys; sys.path.append({root!r}); from league.sandbox.zygote import main; main()"
LIBRARIES = ("numpy",)
"""Installed packages an answer may import.

Reading any other is refused, for data sets come with their solutions.
"""
LAYERS: dict[Confinement, tuple[str, ...]] = {
    "full": ("namespaces", "landlock", "seccomp", "listen"),
    "ns": ("namespaces", "seccomp", "listen"),
    "kernel": ("landlock", "seccomp", "listen"),
    "posix": (),
}
_START_S = 60.0
_STOP_S = 2.0


@dataclass(frozen=True)
class ExitInfo:
    """How a process ended: the wait status, CPU seconds, peak memory in bytes."""

    status: int
    cpu: float
    memory: int


class ZygoteHandle:
    """Owns one zygote.

    `at_most` caps the confinement: for tests, and for measuring what each layer costs.
    """

    def __init__(self, limits: Limits, at_most: Confinement = "full"):
        self.limits = limits
        self.at_most = at_most
        self.notes: list[str] = []
        self.control: socket.socket | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.namespaces = False
        self.readable: tuple[str, ...] = ()
        self._spawned: list[tuple[dict[str, Any], list[int]]] = []
        self._requested = 0

    # ------------------------------------------------------------------------------------------- life cycle
    def start(self) -> None:
        """Start a zygote, without namespaces where they cannot be had. Raises Ended("infra")."""
        layers = LAYERS[self.at_most]
        try:
            self._launch(layers)
        except Ended as error:
            if "namespaces" not in layers:
                raise
            self.notes.append(f"namespaces: {error.reason}")
            self._launch(tuple(layer for layer in LAYERS["kernel"] if layer in layers))

    def _launch(self, layers: tuple[str, ...]) -> None:
        self.stop()
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        options = Options(self.limits.memory_mb, self.limits.cpu_s, layers, _libraries())
        # The zygote's environment is written from nothing: no secrets, fixed hashing, few memory arenas.
        environment = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "2"}
        environment |= {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        command = [sys.executable, "-s", "-S", "-P", "-B", "-c", _BOOT.format(root=_ROOT), options.dump()]
        self.process = subprocess.Popen(
            command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=environment, start_new_session=True
        )
        theirs.close()
        mine.settimeout(_START_S)
        self.control = mine
        hello, _ = self._read()
        if "hello" not in hello:
            raise Ended("infra", f"the grader's parent process did not start: {hello.get('error', hello)}")
        self.namespaces = hello["namespaces"]
        self.readable = tuple(hello["readable"])
        self.notes += hello["notes"]

    def stop(self) -> None:
        """End the zygote and with it every answer. Leaves the object ready to start again."""
        if self.control is not None:
            self.control.close()
            self.control = None
        for _, descriptors in self._spawned:
            for descriptor in descriptors:
                os.close(descriptor)
        self._spawned, self._requested = [], 0
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_STOP_S)  # it ends by itself when its control socket closes
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    # --------------------------------------------------------------------------------------------- answers
    def take(self) -> Answer:
        """A confined answer that waits for its code; the next one is forked meanwhile.

        Raises Ended("infra") when none can be had.
        """
        if self.control is None:
            self.start()
        asked = False
        while not self._spawned:
            if not self._requested:
                self._request()
                asked = True
            failed = self._pump().get("unspawned")
            if failed is not None and asked:
                raise Ended("infra", failed)
        message, (channel, pidfd) = self._spawned.pop(0)
        self._request()
        answer = Answer(message["spawned"], socket.socket(fileno=channel), pidfd, self.limits, self.readable)
        try:
            answer.wait_confined()
        except Ended:
            answer.close()
            raise
        return answer

    def reap(self, answer: Answer, wait: bool = False) -> ExitInfo | None:
        """Have the zygote kill and reap an answer; with `wait`, return how it ended."""
        assert self.control is not None
        try:
            self.control.send(b"reap %d" % answer.handle)
        except OSError as error:
            raise Ended("infra", f"the grader's parent process is gone: {error}") from error
        while wait:
            message = self._pump()
            if message.get("reaped") == answer.handle:
                return ExitInfo(message["status"], message["cpu"], message["memory"])
        return None

    def level(self, answer: Answer) -> Confinement:
        kernel_layers = bool(answer.layers.get("landlock")) + bool(answer.layers.get("seccomp"))
        if self.namespaces and kernel_layers:
            return "full" if kernel_layers == 2 else "ns"
        return "kernel" if kernel_layers == 2 else "posix"

    def _request(self) -> None:
        assert self.control is not None
        try:
            self.control.send(b"spawn")
        except OSError as error:
            raise Ended("infra", f"the grader's parent process is gone: {error}") from error
        self._requested += 1

    def _pump(self) -> dict[str, Any]:
        message, descriptors = self._read()
        if "spawned" in message:
            self._requested -= 1
            self._spawned.append((message, descriptors))
        elif "unspawned" in message:
            self._requested -= 1  # the answer before may have held what was missing: `take` asks once more
        elif "reaped" not in message:
            raise Ended("infra", message.get("error", "the grader's parent process sent nonsense"))
        return message

    def _read(self) -> tuple[dict[str, Any], list[int]]:
        assert self.control is not None
        try:
            raw, descriptors, _flags, _address = socket.recv_fds(self.control, 1 << 16, 2)
        except OSError as error:
            raise Ended("infra", f"the grader's parent process does not answer: {error}") from error
        if not raw:
            raise Ended("infra", "the grader's parent process is gone")
        return json.loads(raw), list(descriptors)


def _libraries() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations:
            found[name] = str(next(iter(spec.submodule_search_locations)))
    return found
