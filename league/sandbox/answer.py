"""The process of one answer: confine, receive the code, define it, answer calls.

Everything after `define` is hostile territory.

Nothing here is relied upon once foreign code has run: a forged frame can only say "call n returned this plain value",
which the answer may say anyway.
"""

import ast
import importlib.abc
import importlib.util
import os
import resource
import socket
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from league.sandbox import kernel, wire
from league.sandbox.seccomp import CHANNEL

MAX_FILES = 64
STACK = 64 * 2**20


@dataclass(frozen=True)
class Plan:
    """How every answer is confined; computed once by the zygote."""

    address_space: int
    cpu_s: float
    ruleset: int
    """Descriptor of a Landlock ruleset, or -1."""
    listening_filter: bytes
    silent_filter: bytes
    """Empty where seccomp is not used."""
    libraries: dict[str, str]


def main(channel: socket.socket, plan: Plan) -> NoReturn:
    """Run in the forked child; never returns."""
    try:
        sock = _arm(channel, plan)
        _serve(sock)
    finally:
        os._exit(0)


def _arm(channel: socket.socket, plan: Plan) -> socket.socket:
    """Apply every layer, then report which of them hold, together with the listener."""
    os.dup2(channel.detach(), CHANNEL)  # over the zygote's control socket
    ruleset = os.dup2(plan.ruleset, CHANNEL + 1) if plan.ruleset >= 0 else -1
    os.closerange(CHANNEL + 1 if ruleset < 0 else CHANNEL + 2, 4096)
    sock = socket.socket(fileno=CHANNEL)
    sys.path[:] = [path for path in sys.path if path.startswith(sys.base_prefix)]
    sys.meta_path.append(_Granted(plan.libraries))
    layers: dict[str, Any] = {"notes": []}
    if os.getpid() != 1:
        os.setsid()
    _limit(plan)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.drop_capabilities()
    if ruleset >= 0:
        kernel.landlock_restrict(ruleset)
        os.close(ruleset)
        layers["landlock"] = True
    listener = _install_filter(plan, layers)
    raw = wire.packets(wire.dump({"confined": layers}))[0]
    if listener:
        socket.send_fds(sock, [raw], [listener])
        os.close(listener)
    else:
        sock.send(raw)
    return sock


def _limit(plan: Plan) -> None:
    cpu = int(plan.cpu_s) + 2  # a backstop: the judge reads the clock of this process and ends it on time
    for name, soft, hard in (
        (resource.RLIMIT_AS, plan.address_space, plan.address_space),
        (resource.RLIMIT_CPU, cpu, cpu),
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_NOFILE, MAX_FILES, MAX_FILES),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
        (resource.RLIMIT_STACK, STACK, STACK),
    ):
        ceiling = resource.getrlimit(name)[1]
        if ceiling != resource.RLIM_INFINITY:
            hard = min(hard, ceiling)
        resource.setrlimit(name, (min(soft, hard), hard))
    if not plan.silent_filter:
        allowed = min(256, resource.getrlimit(resource.RLIMIT_NPROC)[1] % 2**31)
        resource.setrlimit(resource.RLIMIT_NPROC, (allowed, allowed))


def _install_filter(plan: Plan, layers: dict[str, Any]) -> int:
    """Return the listener's descriptor, or 0 when there is none.

    There is none where another listener already watches this process, or without seccomp.
    """
    if plan.listening_filter:
        try:
            listener = kernel.seccomp_install(plan.listening_filter, listen=True)
            layers["seccomp"] = layers["listener"] = True
            return listener
        except OSError as error:
            layers["notes"].append(f"seccomp listener: {error}")
    if plan.silent_filter:
        try:
            kernel.seccomp_install(plan.silent_filter, listen=False)
            layers["seccomp"] = True
        except OSError as error:
            layers["notes"].append(f"seccomp: {error}")
    return 0


class _Granted(importlib.abc.MetaPathFinder):
    """Finds exactly the granted libraries.

    It has no search path, which would open all installed packages.
    """

    def __init__(self, libraries: dict[str, str]):
        self.libraries = libraries

    def find_spec(self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None) -> Any:
        folder = self.libraries.get(name) if path is None else None
        if folder is None:
            return None
        return importlib.util.spec_from_file_location(
            name, f"{folder}/__init__.py", submodule_search_locations=[folder]
        )


# ---------------------------------------------------------------------------------------------------- serving
def _serve(sock: socket.socket) -> None:
    message = wire.receive_blocking(sock)
    if message is None:
        return
    module = sys.modules["answer"] = types.ModuleType("answer")
    namespace = module.__dict__
    try:
        _define(message, namespace)
        function = namespace.get(message["entry_point"])
        reply: dict[str, Any] = {"ready": callable(function)}
    except BaseException as error:  # noqa: BLE001 - foreign code may raise anything
        reply = {"failed": _describe(error)}
        function = None
    wire.send_blocking(sock, reply)
    del message
    while True:
        request = wire.receive_blocking(sock)
        if request is None:
            return
        wire.send_blocking(sock, _call(function, request))


def _define(message: dict[str, Any], namespace: dict[str, Any]) -> None:
    completion = message["completion"]
    if message["program"] or _whole(completion, message["entry_point"]):
        exec(compile(message["preamble"], "<preamble>", "exec", dont_inherit=True), namespace)
        exec(compile(completion, "<answer>", "exec", dont_inherit=True), namespace)
    else:
        exec(compile(message["prompt"] + completion, "<answer>", "exec", dont_inherit=True), namespace)


def _whole(completion: str, entry_point: str) -> bool:
    """Whether a completion is a program of its own, or continues the prompt's body.

    A program parses alone and binds the entry point.
    """
    first = next((line for line in completion.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    if first[:1].isspace() or entry_point not in completion:
        return False
    try:
        tree = ast.parse(completion)
    except (SyntaxError, ValueError):
        return False
    return entry_point in _bound(tree.body)


def _bound(body: list[ast.stmt]) -> set[str]:
    names: set[str] = set()
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(statement.name)
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            elif isinstance(node, ast.alias):
                names.add(node.asname or node.name)
            elif isinstance(node, ast.FunctionDef):
                names.add(node.name)
    return names


def _call(function: Any, request: dict[str, Any]) -> dict[str, Any]:
    number = request["call"]
    try:
        arguments = wire.unpack(request["args"])
        keywords = wire.unpack(request["kwargs"])
        value = function(*arguments, **keywords)
    except BaseException as error:  # noqa: BLE001 - foreign code may raise anything
        return {"raised": number, **_describe(error)}
    try:
        return {"returned": number, "value": wire.pack(value)}
    except wire.NotPlain as error:
        return {"odd": number, "kind": error.kind, "what": error.what[:200]}


def _describe(error: BaseException) -> dict[str, str]:
    try:
        text = str(error)[:200]
    except BaseException:  # noqa: BLE001 - a hostile __str__
        text = ""
    return {"type": str(type(error).__name__)[:60], "text": text if type(text) is str else ""}
