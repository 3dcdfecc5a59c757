"""Sockets that an answer must not reach."""

import contextlib
import os
import socket
import tempfile


class Ears:
    """Unix sockets by path and by abstract name that must hear nothing."""

    def __enter__(self) -> "Ears":
        self.folder = tempfile.TemporaryDirectory()
        self.places = {"path": f"{self.folder.name}/ear", "abstract": f"league-ear-{os.getpid()}"}
        self.sockets = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
        for ear, name in zip(self.sockets, (self.places["path"], "\0" + self.places["abstract"]), strict=True):
            ear.bind(name)
            ear.setblocking(False)
        return self

    def heard(self) -> list[str]:
        found = ["the folder changed"] if os.listdir(self.folder.name) != ["ear"] else []
        for ear in self.sockets:
            with contextlib.suppress(BlockingIOError):
                ear.recv(9)
                found.append("a socket outside was reached")
        return found

    def __exit__(self, *_: object) -> None:
        for ear in self.sockets:
            ear.close()
        self.folder.cleanup()
