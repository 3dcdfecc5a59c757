"""System calls Python has no name for, by ctypes.

They are prctl, capset, Landlock, seccomp and namespaces, on Linux, x86-64 and arm64.

Each function raises OSError when the kernel refuses. Nothing here decides policy.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Iterable

MACHINE = platform.machine()
_libc = ctypes.CDLL(None, use_errno=True)

_COMMON = {
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
    "mount_setattr": 442,
}
_NUMBERS = {
    "x86_64": {**_COMMON, "capset": 126, "pivot_root": 155, "seccomp": 317},
    "aarch64": {**_COMMON, "capset": 91, "pivot_root": 41, "seccomp": 277},
}

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE, MS_REMOUNT = 4096, 16384, 1 << 18, 32
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NOSUID = 1, 2
_AT_RECURSIVE, _AT_FDCWD = 0x8000, -100
_MNT_DETACH = 2


def oom_kills() -> int:
    """How many processes this machine's kernel has killed for memory, in groups too; 0 if unknown."""
    try:
        with open("/proc/vmstat", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("oom_kill ")), 0)
    except OSError:
        return 0


def _check(result: int, call: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")
    return result


def _syscall(name: str, *arguments: object) -> int:
    numbers = _NUMBERS.get(MACHINE)
    if numbers is None:
        raise OSError(38, f"{name}: not known on {MACHINE}")
    return _check(_libc.syscall(ctypes.c_long(numbers[name]), *arguments), name)


def prctl(option: int, value: int) -> None:
    _check(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), "prctl")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    _check(_libc.setns(descriptor, kind), "setns")


def drop_capabilities() -> None:
    """Clear the effective, permitted and inheritable sets."""
    header = struct.pack("=Ii", 0x20080522, 0)
    _syscall("capset", ctypes.c_char_p(header), ctypes.c_char_p(bytes(24)))


# ---------------------------------------------------------------------------------------------------- mounts
def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    encoded = [None if text is None else text.encode() for text in (source, target, kind, data)]
    _check(_libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]), f"mount {target}")


def mount_read_only(target: str) -> None:
    """Make a mount and all below it read-only, keeping its other flags."""
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID, 0, 0, 0)
    _syscall(
        "mount_setattr",
        ctypes.c_int(_AT_FDCWD),
        ctypes.c_char_p(target.encode()),
        ctypes.c_uint(_AT_RECURSIVE),
        ctypes.c_char_p(attributes),
        ctypes.c_size_t(len(attributes)),
    )


def pivot(new_root: str, old_root: str) -> None:
    """Make `new_root` (a mount point) the root.

    The old one appears at `old_root`, a folder below it.
    """
    _syscall("pivot_root", ctypes.c_char_p(new_root.encode()), ctypes.c_char_p(old_root.encode()))
    os.chdir("/")


def detach(path: str) -> None:
    _check(_libc.umount2(path.encode(), _MNT_DETACH), "umount2")


# -------------------------------------------------------------------------------------------------- Landlock
_FS_READ_FILE, _FS_READ_DIR, _FS_WRITE_FILE = 1 << 2, 1 << 3, 1 << 1
_FS_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_NET_RIGHTS, _SCOPES = 0b11, 0b11  # TCP bind and connect; abstract unix sockets and signals


def landlock_version() -> int:
    """The ABI version, or 0 where the kernel has no Landlock."""
    try:
        return _syscall("landlock_create_ruleset", None, ctypes.c_size_t(0), ctypes.c_uint(1))
    except OSError:
        return 0


def landlock_ruleset(readable: Iterable[str], writable_files: Iterable[str]) -> int:
    """A descriptor of a ruleset that denies every file right this kernel knows.

    Allowed stay reading below `readable` and writing the existing files `writable_files`. Paths that do not exist are
    skipped.
    """
    version = landlock_version()
    rights = _FS_RIGHTS.get(version, (1 << 16) - 1)
    attributes = struct.pack("=QQQ", rights, _NET_RIGHTS if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _syscall("landlock_create_ruleset", ctypes.c_char_p(attributes), ctypes.c_size_t(size), ctypes.c_uint(0))
    for path in readable:
        _landlock_allow(ruleset, path, _FS_READ_FILE | _FS_READ_DIR)
    for path in writable_files:
        _landlock_allow(ruleset, path, _FS_READ_FILE | _FS_WRITE_FILE)
    return ruleset


def _landlock_allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            rights &= ~_FS_READ_DIR
        rule = struct.pack("=Qi", rights, descriptor)
        _syscall("landlock_add_rule", ctypes.c_int(ruleset), ctypes.c_int(1), ctypes.c_char_p(rule), ctypes.c_uint(0))
    finally:
        os.close(descriptor)


def landlock_restrict(ruleset: int) -> None:
    """Confine this process and its descendants. Needs no_new_privs."""
    _syscall("landlock_restrict_self", ctypes.c_int(ruleset), ctypes.c_uint(0))


# --------------------------------------------------------------------------------------------------- seccomp
class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def seccomp_install(program: bytes, listen: bool) -> int:
    """Install a BPF filter.

    With `listen`, return the descriptor that receives its notifications, else 0.
    """
    flags = 8 if listen else 0  # SECCOMP_FILTER_FLAG_NEW_LISTENER
    structure = _Program(len(program) // 8, program)
    return _syscall("seccomp", ctypes.c_uint(1), ctypes.c_uint(flags), ctypes.byref(structure))
