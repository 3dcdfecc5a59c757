"""The zygote's own world: new namespaces, and a root that holds only the interpreter.

The namespaces are user, PID, mount, network, IPC and UTS.

`enter` is called once, by the single-threaded zygote. Each answer then gets a PID namespace of its own
(`fresh_pids`), so that killing its first process kills everything it started. Raises OSError where the system does
not allow namespaces.
"""

import os
import sysconfig
from pathlib import Path

from league.sandbox import kernel

_FLAGS = (
    kernel.CLONE_NEWUSER
    | kernel.CLONE_NEWPID
    | kernel.CLONE_NEWNS
    | kernel.CLONE_NEWNET
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUTS
)
_HIDDEN = ("site-packages", "dist-packages", "test")
"""Installed packages may hold data sets with their solutions; Python's own tests are of no use."""
DEVICES = ("/dev/null", "/dev/urandom", "/dev/zero")


def readable_paths(libraries: list[str]) -> list[str]:
    """What an answer may read.

    It is the standard library without its site-packages (installed packages include data sets with their solutions),
    the shared objects it needs, and the folders of the libraries it was granted.
    """
    paths = []
    for name in ("stdlib", "platstdlib"):
        folder = Path(sysconfig.get_path(name))
        paths += [str(entry) for entry in folder.iterdir() if entry.name not in _HIDDEN]
    multiarch = sysconfig.get_config_var("MULTIARCH")
    if multiarch:
        paths += [f"/lib/{multiarch}", f"/usr/lib/{multiarch}"]
    paths += ["/lib64", "/etc/ld.so.cache", *_mapped_objects(), *libraries]
    return sorted({path for path in paths if os.path.exists(path)})


def _mapped_objects() -> set[str]:
    """The shared objects this interpreter runs on."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        fields = (line.split(maxsplit=5) for line in file)
        return {
            parts[5].strip() for parts in fields if len(parts) == 6 and ".so" in parts[5] and parts[5].startswith("/")
        }


def unshare_all() -> None:
    """Enter new namespaces as an unprivileged user of the outside.

    The next child is the first process of the PID namespace.
    """
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(_FLAGS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"1000 {user} 1"), ("gid_map", f"1000 {group} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def replace_root(paths: list[str]) -> None:
    """Make a read-only root that holds only `paths` and three devices.

    It is a tmpfs, into which they are bound from the old root.
    """
    folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib")]
    wanted = sorted({*folders, *(path for path in paths if not _below(path, folders)), *DEVICES})
    sources = {path: os.path.realpath(path) for path in wanted}
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", "/tmp", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=1m,nr_inodes=4k,mode=755")
    os.mkdir("/tmp/old-root")
    kernel.pivot("/tmp", "/tmp/old-root")
    for path, source in sources.items():
        _bind(f"/old-root{source}", path)
    for folder in folders:
        for hidden in _HIDDEN:
            if os.path.isdir(f"{folder}/{hidden}"):
                kernel.mount(
                    "tmpfs", f"{folder}/{hidden}", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "size=4k,nr_inodes=2"
                )
    kernel.detach("/old-root")
    os.rmdir("/old-root")
    kernel.mount_read_only("/")


def _below(path: str, folders: list[str]) -> bool:
    return any(path.startswith(folder + "/") for folder in folders)


def _bind(source: str, target: str) -> None:
    if os.path.lexists(target):
        return
    if os.path.isdir(source):
        os.makedirs(target)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o600))
    kernel.mount(source, target, None, kernel.MS_BIND | kernel.MS_REC)


def fresh_pids(own: int) -> None:
    """Make the next child the first process of a new PID namespace.

    `own` is a descriptor of /proc/<zygote>/ns/pid.
    """
    kernel.setns(own, kernel.CLONE_NEWPID)
    kernel.unshare(kernel.CLONE_NEWPID)
