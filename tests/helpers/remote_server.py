"""A local server that speaks as an OpenAI-compatible one does, piece by piece.

With it, a remote player that asks it.
"""

import asyncio
import json
import socket
from collections.abc import Callable

from pytest_httpserver import HTTPServer
from werkzeug import Request as Asked
from werkzeug import Response

from league.backends.remote import RemoteBackend
from league.config import RemoteConfig
from league.errors import BackendError
from league.types import Message, Reply, Request, Sampling, Version

PATH = "/v1/chat/completions"
GPT = Version("gpt", 0)


def chunk(text: str | None = None, finish: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    return (
        b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode() + b"\n\n"
    )


DONE = b"data: [DONE]\n\n"


def stream(*pieces: bytes, **headers: str) -> Response:
    return Response(iter(pieces), content_type="text/event-stream", headers=headers)


def says(text: str) -> Callable[[Asked], Response]:
    return lambda asked: stream(
        chunk(text[: len(text) // 2]), chunk(text[len(text) // 2 :]), chunk(finish="stop"), DONE
    )


def player(server: HTTPServer | str, **changes: object) -> RemoteConfig:
    base = server if isinstance(server, str) else server.url_for("/v1")
    return RemoteConfig.model_validate({"base_url": base, "model": "m", "deadline": 5.0, "attempts": 3, **changes})


class Naps:
    """A sleep that takes no time and remembers how long it was asked for."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        await asyncio.sleep(0)


def request(content: str = "2 + 2?", samples: int = 1, seed: int = 7, **sampling: object) -> Request:
    return Request(GPT, (Message("user", content),), samples, Sampling(**{"max_tokens": 8, **sampling}), seed)  # type: ignore[arg-type]


def answer(config: RemoteConfig, *requests: Request, **parts: object) -> list[tuple[Reply, ...] | BackendError]:
    return RemoteBackend({"gpt": config}, sleep=Naps(), **parts).generate(requests or [request()])  # type: ignore[arg-type]


def refused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
