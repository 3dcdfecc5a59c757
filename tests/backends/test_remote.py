"""Remote players against servers that work and servers that misbehave in every way.

A match becomes void, never a loss, and nobody sees a traceback.
"""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Request as Asked
from werkzeug import Response

from league.backends import chat_stream
from league.errors import BackendError
from league.types import Reply
from tests.helpers.remote_server import DONE, PATH, answer, chunk, player, refused_port, request, says, stream


# ------------------------------------------------------------------------------------------- a server that works
def test_a_reply_is_put_together_and_the_request_says_all(httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_handler(says("four"))
    asked = request("hello \ud800", samples=3, temperature=0.5, top_p=0.9, top_k=5, stop=("\n",))
    (found,) = answer(player(httpserver), asked)
    assert found == (Reply("four", "end"),) * 3
    bodies = sorted((json.loads(entry[0].data) for entry in httpserver.log), key=lambda body: body["seed"])
    assert [body["seed"] for body in bodies] == [7, 8, 9]
    assert {
        key: bodies[0][key] for key in ("model", "temperature", "top_p", "top_k", "max_tokens", "stop", "stream")
    } == {
        "model": "m",
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "max_tokens": 8,
        "stop": ["\n"],
        "stream": True,
    }
    assert bodies[0]["messages"] == [{"role": "user", "content": "hello \ufffd"}]


def test_the_length_field_and_the_number_under_way_are_the_players() -> None:
    busy, most, lock = [0], [0], threading.Lock()

    def slow(asked: Asked) -> Response:
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        time.sleep(0.1)
        with lock:
            busy[0] -= 1
        return says("ok")(asked)

    with HTTPServer(threaded=True) as server:
        server.expect_request(PATH).respond_with_handler(slow)
        answer(player(server, tokens_field="max_completion_tokens", parallel=2), request(samples=6))
        body = json.loads(server.log[0][0].data)
    assert most[0] == 2
    assert body["max_completion_tokens"] == 8 and "max_tokens" not in body


@pytest.mark.parametrize(
    ("pieces", "sampling", "expected"),
    [
        ((chunk("a"), chunk("b"), chunk(finish="length"), DONE), {}, Reply("ab", "length")),
        ((chunk("ab"), chunk(finish="stop")), {}, Reply("ab", "end")),
        ((chunk("ab"), DONE), {}, Reply("ab", "end")),
        (
            (b": comment\r\n\r\n", b"event: x\n", b'data: {"choices": []}\r\n\r\n', chunk("ab", "stop")),
            {},
            Reply("ab", "end"),
        ),
        ((chunk("one\ntwo"), chunk(finish="stop")), {"stop": ("\n",)}, Reply("one", "stop")),
        ((chunk("x" * 500), chunk(finish="stop")), {"max_tokens": 2}, Reply("x" * 12, "length")),
        (
            (
                b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n',
                b'data: {"choices": [{"delta": {"content": "\\ude00\\udc00"}}]}\n',
                DONE,
            ),
            {},
            Reply("😀\ufffd", "end"),
        ),
        ((chunk("a\x00b\x1b[31mc\u202ed\r\ne\tf"), DONE), {}, Reply("a\ufffdb\ufffd[31mc\ufffdd\ne\tf", "end")),
        ((chunk(None), chunk(finish="stop")), {}, Reply("", "end")),
    ],
)
def test_what_a_stream_means(
    httpserver: HTTPServer, pieces: tuple[bytes, ...], sampling: dict, expected: Reply
) -> None:
    httpserver.expect_request(PATH).respond_with_handler(lambda asked: stream(*pieces))
    assert answer(player(httpserver), request(**sampling)) == [(expected,)]


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_safe_text_can_be_encoded_and_printed(text: str) -> None:
    found = chat_stream.safe(text)
    assert found.encode().decode() == found
    assert all(char in "\n\t" or char.isprintable() or ord(char) > 0x9F for char in found)
    assert chat_stream.safe(found) == found


@settings(max_examples=200)
@given(
    st.lists(
        st.binary(max_size=60)
        | st.sampled_from(
            [b"data: {}\n", b'data: {"choices": [{"delta": 3}]}\n', b"data: [DONE]\n", b"data: " + b"[" * 99999 + b"\n"]
        ),
        max_size=6,
    )
)
def test_any_bytes_are_a_reply_or_a_failure(pieces: list[bytes]) -> None:
    async def feed():
        for piece in pieces:
            yield piece

    try:
        asyncio.run(chat_stream._read(feed(), request(), 10**6))
    except chat_stream.Failed as failure:
        assert str(failure)


# --------------------------------------------------------------------------------------- a server that misbehaves
def endless() -> Iterator[bytes]:
    while True:
        yield chunk("ha" * 500)


def drip() -> Iterator[bytes]:
    while True:
        yield b"d"
        time.sleep(0.05)


MISBEHAVIOUR: dict[str, tuple[Callable[[Asked], Response], dict, str, int | None]] = {
    "slow drip": (lambda a: Response(drip(), content_type="text/event-stream"), {"deadline": 0.5}, "within 0.5 s", 1),
    "endless stream": (
        lambda a: Response(endless(), content_type="text/event-stream"),
        {"max_kilobytes": 50},
        "more than 50 kB",
        1,
    ),
    "huge reply": (lambda a: stream(chunk("x" * 3_000_000), DONE), {}, "more than 1024 kB", 1),
    "one endless line": (
        lambda a: Response((b"x" * 10_000 for _ in range(10_000)), content_type="text/event-stream"),
        {},
        "more than",
        1,
    ),
    "429": (lambda a: Response("slow down", status=429), {}, "status 429: slow down", 3),
    "500": (lambda a: Response("oops", status=500), {}, "status 500: oops", 3),
    "503 with an endless body": (lambda a: Response(endless(), status=503), {}, "status 503", 3),
    "401": (lambda a: Response('{"error": "who are you"}', status=401), {}, "status 401", 1),
    "404": (lambda a: Response("no such model", status=404), {}, "status 404", 1),
    "redirect": (lambda a: Response("", status=307, headers={"Location": "http://127.0.0.1:9/v1"}), {}, "redirect", 1),
    "html": (lambda a: Response("<html>log in</html>", content_type="text/html"), {}, "expected text/event-stream", 3),
    "whole JSON": (
        lambda a: Response('{"choices": []}', content_type="application/json"),
        {},
        "sent application/json",
        3,
    ),
    "no content type": (
        lambda a: Response(iter([DONE]), headers={"Content-Type": ""}),
        {},
        "expected text/event-stream",
        3,
    ),
    "compressed": (lambda a: stream(b"\x1f\x8b", **{"Content-Encoding": "gzip"}), {}, "compressed", 1),
    "wrong JSON": (lambda a: stream(b"data: {oops\n\n", DONE), {}, "not JSON", 3),
    "JSON of another kind": (
        lambda a: stream(b'data: {"choices": [{"delta": {"content": 5}}]}\n\n', DONE),
        {},
        "chat completion chunk",
        3,
    ),
    "a list": (lambda a: stream(b"data: [1, 2]\n\n", DONE), {}, "chat completion chunk", 3),
    "an error inside": (lambda a: stream(b'data: {"error": {"message": "overloaded"}}\n\n'), {}, "overloaded", 3),
    "cut stream": (lambda a: stream(chunk("fo")), {}, "cut off", 3),
    "empty stream": (lambda a: stream(), {}, "cut off", 3),
    "cut connection": (
        lambda a: Response(iter([chunk("fo")]), content_type="text/event-stream", headers={"Content-Length": "5000"}),
        {},
        "connection broke",
        3,
    ),
}


@pytest.mark.parametrize("kind", MISBEHAVIOUR)
def test_misbehaviour_is_a_backend_error(httpserver: HTTPServer, kind: str) -> None:
    handler, changes, reason, attempts = MISBEHAVIOUR[kind]
    httpserver.expect_request(PATH).respond_with_handler(handler)
    started = time.monotonic()
    (found,) = answer(player(httpserver, **changes))
    assert isinstance(found, BackendError) and str(found).startswith("gpt: ") and reason in str(found), found
    assert time.monotonic() - started < 4.0
    assert len(httpserver.log) == attempts or kind == "slow drip"


def test_nobody_there_and_no_tls_there(httpserver: HTTPServer) -> None:
    for base in (
        f"http://127.0.0.1:{refused_port()}/v1",
        f"https://127.0.0.1:{httpserver.port}/v1",
        "http://no-such-host.invalid/v1",
    ):
        (found,) = answer(player(base))
        assert isinstance(found, BackendError) and "cannot be reached" in str(found), (base, found)


def test_a_certificate_nobody_vouches_for(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with HTTPServer(ssl_context=context) as server:
        server.expect_request(PATH).respond_with_handler(says("four"))
        (found,) = answer(player(f"https://localhost:{server.port}/v1"))
        assert isinstance(found, BackendError) and "CERTIFICATE" in str(found).upper()
        assert not server.log


@pytest.mark.parametrize("phase", ["silence", "headers that drip"])
def test_the_deadline_holds_before_the_first_byte_too(phase: str) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        connection.recv(65536)
        with connection:
            while not ended.wait(0.05):
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX-A: " if phase == "silence" else b"a")
                except OSError:
                    return

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    started = time.monotonic()
    (found,) = answer(player(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", deadline=0.6, attempts=1))
    ended.set()
    listener.close()
    assert isinstance(found, BackendError) and time.monotonic() - started < 3.0
