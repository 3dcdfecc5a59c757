"""The zygote: a preloaded interpreter that forks one confined answer at a time and reaps it.

It never sees a test, an expected value or another answer's code, so there is nothing to find in the memory its
children inherit. Started by the judge as `python -c … <json options>` with its control socket (SEQPACKET) as standard
input.

    from the judge     to the judge
    b"spawn"           {"spawned": handle} with [channel, pidfd], or {"unspawned": text}
    b"reap <handle>"   {"reaped": handle, "status": n, "cpu": seconds, "memory": bytes}
"""

import gc
import json
import os
import resource
import signal
import socket
import sys
from dataclasses import asdict, dataclass

from league.sandbox import answer, kernel, namespaces, seccomp

PRELOADED = """
abc array ast bisect calendar cmath collections collections.abc contextlib copy dataclasses datetime decimal enum
fractions functools hashlib heapq io itertools json keyword math numbers operator os queue random re statistics string
struct sys textwrap threading time traceback types typing unicodedata warnings
""".split()


@dataclass(frozen=True)
class Options:
    """What the judge asks of its zygote.

    `layers` names the confinement to try: "namespaces", "landlock", "seccomp", "listen".
    """

    memory_mb: int
    cpu_s: float
    layers: tuple[str, ...]
    libraries: dict[str, str]
    """Import name → package folder of the installed libraries answers may import."""

    @classmethod
    def parse(cls, text: str) -> "Options":
        data = json.loads(text)
        return cls(data["memory_mb"], data["cpu_s"], tuple(data["layers"]), dict(data["libraries"]))

    def dump(self) -> str:
        return json.dumps(asdict(self))


class Zygote:
    def __init__(self, control: socket.socket, options: Options):
        self.control = control
        self.options = options
        folders = list(options.libraries.values())
        self.readable = namespaces.readable_paths([*folders, *(f"{folder}.libs" for folder in folders)])
        self.notes: list[str] = []
        self.own_pids: int | None = None
        """A descriptor of the PID namespace this process is the first of, or None."""
        self.alive: set[int] = set()
        self.address_space = _address_space() + options.memory_mb * 2**20

    def run(self) -> None:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        self._volunteer_for_oom()
        if "namespaces" in self.options.layers:
            self._enter_namespaces()
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        plan = self._plan()
        os.chdir("/")
        os.dup2(1, 2)
        gc.collect()
        gc.freeze()
        self._tell(
            {"hello": True, "namespaces": self.own_pids is not None, "readable": self.readable, "notes": self.notes}
        )
        while True:
            command = self.control.recv(256)
            if not command:
                for pid in sorted(self.alive):
                    self._kill(pid)
                return
            if command == b"spawn":
                self._spawn(plan)
            else:
                self._reap(int(command.split()[1]))

    def _plan(self) -> answer.Plan:
        layers = self.options.layers
        ruleset = -1
        if "landlock" in layers and kernel.landlock_version():
            ruleset = kernel.landlock_ruleset([*self.readable, *namespaces.DEVICES], ["/dev/null"])
        elif "landlock" in layers:
            self.notes.append("Landlock: not in this kernel")
        program, silent = b"", b""
        if "seccomp" in layers and seccomp.available():
            silent = seccomp.build_filter(listen=False, landlock=ruleset >= 0)
            program = seccomp.build_filter(listen=True, landlock=ruleset >= 0) if "listen" in layers else b""
        elif "seccomp" in layers:
            self.notes.append(f"seccomp: no table for {kernel.MACHINE}")
        return answer.Plan(
            address_space=self.address_space,
            cpu_s=self.options.cpu_s,
            ruleset=ruleset,
            listening_filter=program,
            silent_filter=silent,
            libraries=dict(self.options.libraries),
        )

    def _volunteer_for_oom(self) -> None:
        try:
            with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
                file.write("500")
        except OSError as error:
            self.notes.append(f"oom_score_adj: {error}")

    def _enter_namespaces(self) -> None:
        """Fork into fresh namespaces.

        The outer process only waits, and dies with the inner one or with the judge.
        """
        try:
            namespaces.unshare_all()
        except PermissionError as error:
            self.notes.append(f"namespaces: {error}")
            return
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        inner = os.fork()
        if inner:
            self.control.close()
            os.waitpid(inner, 0)
            os._exit(0)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        self.own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        namespaces.replace_root(self.readable)

    def _spawn(self, plan: answer.Plan) -> None:
        try:
            if self.own_pids is not None:
                namespaces.fresh_pids(self.own_pids)
            mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            pid = os.fork()
        except OSError as error:
            self._tell({"unspawned": f"could not start an answer: {error}"})
            return
        if pid == 0:
            answer.main(theirs, plan)
        theirs.close()
        self.alive.add(pid)
        handle = os.pidfd_open(pid)
        raw = json.dumps({"spawned": pid}).encode()
        socket.send_fds(self.control, [raw], [mine.fileno(), handle])
        mine.close()
        os.close(handle)

    def _reap(self, pid: int) -> None:
        """Kill an answer and whatever it left, and wait until nothing of it is alive."""
        status, usage = self._kill(pid)
        self._tell(
            {"reaped": pid, "status": status, "cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss * 1024}
        )

    def _kill(self, pid: int) -> tuple[int, resource.struct_rusage]:
        os.kill(pid, signal.SIGKILL)
        _, status, usage = os.wait4(pid, 0)
        self.alive.discard(pid)
        if self.own_pids is None:
            _sweep(self.alive)
        return status, usage

    def _tell(self, message: dict[str, object]) -> None:
        self.control.send(json.dumps(message).encode())


def _address_space() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _descendants() -> set[int]:
    """Every process below this one."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue  # it ended while we looked
    found = {os.getpid()}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return found - {os.getpid()}


def _childless(spared: set[int]) -> bool:
    """Whether `spared`, which have run no foreign code, are our only children.

    A quick look, where the kernel offers one.
    """
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return {int(word) for word in file.read().split()} <= spared
    except FileNotFoundError:
        return False


def _sweep(spared: set[int]) -> None:
    """Stop, then kill, all that was reparented to us but `spared`, until nothing is left.

    For where there is no PID namespace.
    """
    if _childless(spared):
        return
    for _ in range(200):
        left = _descendants() - spared
        if not left:
            return
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in left:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
        for pid in left:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue  # not reparented to us yet
    raise OSError("processes of an answer survived 200 sweeps")


def main() -> None:
    control = socket.socket(fileno=os.dup2(0, seccomp.CHANNEL))
    os.dup2(1, 0)  # descriptors 0, 1 and (once we are ready) 2 are /dev/null
    options = Options.parse(sys.argv[1])
    for name in PRELOADED:
        __import__(name)
    zygote = Zygote(control, options)
    try:
        zygote.run()
    except OSError as error:
        control.send(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
