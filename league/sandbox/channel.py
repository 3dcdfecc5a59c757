"""The judge's end of one answer.

Here are bounded exchanges, its clocks, and the system calls the kernel reports.

Whatever the other end does (silence, floods, forged frames, death) ends in a message, or in `Ended` with a verdict.
"""

import errno
import fcntl
import os
import re
import select
import signal
import socket
import time
from typing import Any

from league.sandbox import seccomp, wire
from league.sandbox.values import Limits, Verdict

MAX_REFUSALS = 200
MAX_NOTIFICATIONS = 20_000
MAX_PACKETS = 64
"""Of one reply; an honest one has at most 23."""
_TICK_MS = 100
_START_S = 60.0
_HARMLESS = ("/dev/null", "/dev/urandom", "/dev/zero", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/etc/localtime")
_HARMLESS_BELOW = ("/sys/devices/system", "/usr/share/zoneinfo")
_SHARED_OBJECT = re.compile(r"\.so(\.\d+)*$")  # the dynamic linker tries many folders
_MADE_UP = re.compile(
    r"^/<[\w ]+>$"
)  # a compiler that finds a syntax error looks for the text under its made-up file name
_HARMLESS_CALLS = ("mbind", "set_mempolicy", "get_mempolicy", "sched_setaffinity", "mlock", "setpriority", "umask")
"""Refused without suspicion: numerical libraries make them, and nothing can be gained by them."""


class Ended(BaseException):
    """The answer has its verdict.

    A BaseException, so that a dataset's `except Exception` does not swallow it.
    """

    def __init__(self, verdict: Verdict, reason: str, sign: str | None = None):
        super().__init__(reason)
        self.verdict = verdict
        self.reason = reason
        self.sign = sign


class Answer:
    """One running answer.

    `sock` and `pidfd` come from the zygote; `handle` is the zygote's name for it.
    """

    def __init__(self, handle: int, sock: socket.socket, pidfd: int, limits: Limits, readable: tuple[str, ...]):
        self.handle = handle
        self.sock = sock
        self.pidfd = pidfd
        self.limits = limits
        self.readable = readable
        self.listener = -1
        self.layers: dict[str, Any] = {}
        self.signs: list[str] = []
        self.refusals = self.notifications = 0
        self.pid = _pid_of(pidfd)
        sock.setblocking(False)
        self.poller = select.poll()
        self.poller.register(sock, select.POLLIN)
        self.poller.register(pidfd, select.POLLIN)
        self.deadline = 0.0
        self.inbox: list[bytes] = []

    def wait_confined(self) -> None:
        """Wait until the answer has confined itself. Raises Ended("infra") when it could not."""
        self.deadline = time.monotonic() + _START_S
        if not self._wait(select.POLLIN):
            raise Ended("infra", "the answer's process did not start")
        try:
            raw, descriptors, _flags, _address = socket.recv_fds(self.sock, wire.PACKET + 1, 1)
            message = wire.load(raw[1:])
        except (OSError, wire.Malformed) as error:
            raise Ended("infra", f"the answer's process did not confine itself: {error}") from error
        if "confined" not in message:
            raise Ended("infra", "the answer's process did not confine itself")
        self.layers = message["confined"]
        if descriptors:
            self.listener = descriptors[0]
            self.poller.register(self.listener, select.POLLIN)

    def start_clock(self) -> None:
        self.deadline = time.monotonic() + self.limits.wall_s

    def time_left(self) -> float:
        """Wall seconds until the deadline, at least 1 ms."""
        return max(0.001, self.deadline - time.monotonic())

    def close(self) -> None:
        """Kill the process and release the descriptors. The zygote still has to reap it."""
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # gone already, or the zygote must do it
        self.sock.close()
        os.close(self.pidfd)
        if self.listener >= 0:
            os.close(self.listener)

    # ------------------------------------------------------------------------------------------- exchanges
    def exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one message and wait for one. Raises Ended."""
        for packet in wire.packets(wire.dump(message)):
            self._send(packet)
        parts: list[bytes] = []
        size = 0
        while True:
            packet = self._receive()
            size += len(packet)
            if size > 2 * wire.MAX_BYTES + wire.PACKET or len(parts) == MAX_PACKETS:
                raise Ended("fail", "the answer sent more than a reply may hold", "oversized frame")
            parts.append(packet[1:])
            if packet[:1] == b".":
                break
            if packet[:1] != b"+":
                raise Ended("fail", "the answer wrote to the grader's channel", "forged frame")
        self.check_clocks()
        try:
            return wire.load(b"".join(parts))
        except wire.Malformed as error:
            raise Ended("fail", f"the answer wrote to the grader's channel: {error}", "forged frame") from error

    def _send(self, packet: bytes) -> None:
        while True:
            try:
                self.sock.send(packet)
                return
            except BlockingIOError:
                if not self._wait(select.POLLOUT):
                    raise Ended(*self._death()) from None
            except OSError:
                raise Ended(*self._death()) from None

    def _receive(self) -> bytes:
        while True:
            try:
                packet = self.sock.recv(wire.PACKET + 1)
            except BlockingIOError:
                if not self._wait(select.POLLIN):
                    raise Ended(*self._death()) from None
                continue
            except OSError:
                packet = b""
            if not packet:
                raise Ended(*self._death())
            return packet

    def _wait(self, event: int) -> bool:
        """Serve notifications until the socket is ready (True) or the process is dead (False).

        Raises Ended on a time limit, whatever is ready: an answer that keeps the channel busy is not exempt.
        """
        self.poller.modify(self.sock, event)
        while True:
            self.check_clocks()
            ready = dict(self.poller.poll(min(_TICK_MS, 1 + 1000 * self.time_left())))
            if self.listener >= 0 and ready.get(self.listener, 0) & select.POLLIN:
                self._serve()
            if self.sock.fileno() in ready:
                return True
            if self.pidfd in ready:
                return False

    def _death(self) -> tuple[Verdict, str, str | None]:
        """Why the channel is closed.

        `handle` is not reaped yet, so the judge refines this with the exit status.
        """
        dead = bool(select.select([self.pidfd], [], [], 1.0)[0])
        if dead:
            return "fail", DIED, None
        return "fail", "the answer closed the grader's channel", "closed channel"

    # ---------------------------------------------------------------------------------------------- clocks
    def cpu_seconds(self) -> float:
        """CPU time of the whole process, threads included; 0 when it is gone."""
        try:
            return time.clock_gettime((~self.pid << 3) | 2)
        except OSError:
            return 0.0

    def check_clocks(self) -> None:
        """Raises Ended when the answer has used up its CPU time or its wall time."""
        if self.cpu_seconds() > self.limits.cpu_s:
            raise Ended("fail", f"timeout: more than {self.limits.cpu_s:g} s of CPU time")
        if time.monotonic() > self.deadline:
            raise Ended("fail", f"timeout: more than {self.limits.wall_s:g} s")

    # --------------------------------------------------------------------------------------- notifications
    def _serve(self) -> None:
        raw = bytearray(seccomp.NOTIFICATION_SIZE)
        try:
            fcntl.ioctl(self.listener, seccomp.NOTIFICATION_RECEIVE, raw)
            notification = seccomp.Notification.parse(bytes(raw))
            fcntl.ioctl(self.listener, seccomp.NOTIFICATION_ANSWER, bytearray(self._decide(notification)))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINTR, errno.EINPROGRESS):
                raise Ended("infra", f"seccomp listener: {error}") from error
        if self.refusals > MAX_REFUSALS or self.notifications > MAX_NOTIFICATIONS:
            raise Ended("fail", "the answer kept making refused system calls", "denied calls")

    def _decide(self, call: seccomp.Notification) -> bytes:
        self.notifications += 1
        if call.name == "clone" and call.arguments[0] & 0x00010000:
            if self._threads() < self.limits.threads:
                return call.let()
            self._refused("more threads than allowed")
            return call.refuse(errno.EAGAIN)
        if call.name in ("open", "openat"):
            path = self._path(call)
            writing = call.opens_for_writing
            harmless = self._harmless(path, writing)
            if not harmless:
                self._refused(f"open {path[:80]}" + (" for writing" if writing else ""))
            if harmless or not writing or self.layers.get("landlock"):
                return call.let()  # Landlock and the read-only root decide; this is only the record
            return call.refuse(errno.EACCES)
        if call.name not in _HARMLESS_CALLS:
            self._refused(call.name)
        return call.refuse(errno.EPERM)

    def _refused(self, what: str) -> None:
        self.refusals += 1
        sign = f"denied: {what}"
        if sign not in self.signs and len(self.signs) < 8:
            self.signs.append(sign)

    def _threads(self) -> int:
        try:
            return len(os.listdir(f"/proc/{self.pid}/task"))
        except OSError:
            return self.limits.threads

    def _path(self, call: seccomp.Notification) -> str:
        """The path being opened, read from the caller's memory.

        It may change before the kernel reads it, so it only informs.
        """
        pointer = call.arguments[1 if call.name == "openat" else 0]
        try:
            with open(f"/proc/{call.pid}/mem", "rb", buffering=0) as memory:
                memory.seek(pointer)
                raw = memory.read(1024)
        except (OSError, ValueError, OverflowError):
            return "(unreadable)"
        path = raw.partition(b"\0")[0].decode("utf-8", "backslashreplace")
        return os.path.normpath(path if path.startswith("/") else "/" + path)

    def _harmless(self, path: str, writing: bool) -> bool:
        if path in _HARMLESS:
            return not writing or path == "/dev/null"
        if not writing and (_SHARED_OBJECT.search(path) or _MADE_UP.search(path)):
            return True
        folders = (*self.readable, *_HARMLESS_BELOW)
        return not writing and any(path == folder or path.startswith(folder + "/") for folder in folders)


DIED = "the answer's process died"


def _pid_of(pidfd: int) -> int:
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pid:"))
