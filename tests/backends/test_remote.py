"""Remote players against servers that work and servers that misbehave in every way.

A match becomes void, never a loss, and nobody sees a traceback.
"""

import asyncio
import contextlib
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
from league.backends.event_stream import EventStream
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


def sse(*events: str, end: str = "\n\n") -> bytes:
    return "".join(f"data: {event}{end}" for event in events).encode()


NOTHING = {
    "choices null": '{"choices": null, "usage": {"total_tokens": 5}}',
    "choices missing": '{"usage": {"total_tokens": 5}}',
    "choices empty": '{"choices": []}',
    "a choice null": '{"choices": [null]}',
    "an event null": "null",
    "an event empty": "{}",
    "an event blank": "",
    "delta null": '{"choices": [{"delta": null, "finish_reason": null}]}',
    "delta missing": '{"choices": [{"index": 0}]}',
    "content null": '{"choices": [{"delta": {"role": "assistant", "content": null}}]}',
    "content missing": '{"choices": [{"delta": {"role": "assistant"}}]}',
    "content no parts": '{"choices": [{"delta": {"content": []}}]}',
    "a part null": '{"choices": [{"delta": {"content": [null]}}]}',
    "a part without text": '{"choices": [{"delta": {"content": [{"type": "text", "text": null}]}}]}',
    "a thought": '{"choices": [{"delta": {"content": [{"type": "thinking", "thinking": "hm"}]}}]}',
    "finish empty": '{"choices": [{"delta": {}, "finish_reason": ""}]}',
    "error null": '{"error": null, "choices": []}',
    "error empty": '{"error": {}, "choices": []}',
    "a ping": '{"type": "ping"}',
}
FO, UR = '{"choices": [{"delta": {"content": "fo"}}]}', '{"choices": [{"delta": {"content": "ur"}}]}'
STOP = '{"choices": [{"delta": {}, "finish_reason": "stop"}]}'
SPELLINGS: dict[str, tuple[bytes, ...]] = {
    **{f"{what}, between": (sse(FO, event, UR, STOP, "[DONE]"),) for what, event in NOTHING.items()},
    **{f"{what}, first": (sse(event, FO, UR, STOP, "[DONE]"),) for what, event in NOTHING.items()},
    **{f"{what}, last": (sse(FO, UR, STOP, event),) for what, event in NOTHING.items()},
    "delta null with the finish": (sse(FO, UR, '{"choices": [{"delta": null, "finish_reason": "stop"}]}', "[DONE]"),),
    "no final newline": (sse(FO, UR) + b"data: " + STOP.encode(),),
    "DONE without a newline": (sse(FO, UR) + b"data: [DONE]",),
    "DONE as JSON": (sse(FO, UR, '"[DONE]"'),),
    "bare carriage returns": (sse(FO, UR, STOP, "[DONE]", end="\r\r"),),
    "one carriage return at the very end": (sse(FO, UR) + b"data: " + STOP.encode() + b"\r",),
    "one newline an event": (sse(FO, UR, STOP, "[DONE]", end="\n"),),
    "split within a line end": (sse(FO, UR, STOP, end="\r\n\r\n")[:48], sse(FO, UR, STOP, end="\r\n\r\n")[48:]),
    "byte by byte": tuple(bytes([each]) for each in sse(FO, UR, STOP, end="\r\n\r\n")),
    "a byte-order mark": (b"\xef\xbb\xbf" + sse(FO, UR, STOP),),
    "an event of several lines": (sse(*(FO.replace(", ", ",").replace(": ", ":\ndata: "), UR, STOP)),),
    "content as parts": (sse('{"choices": [{"delta": {"content": [{"type": "text", "text": "fo"}, "ur"]}}]}', STOP),),
    "a whole message": (sse('{"choices": [{"message": {"content": "four"}, "finish_reason": "stop"}]}'),),
    "the message again at the end": (
        sse(FO, UR, '{"choices": [{"delta": {}, "message": {"content": "four"}, "finish_reason": "stop"}]}'),
    ),
    "no space after data": (sse(FO, UR, STOP, "[DONE]").replace(b"data: ", b"data:"),),
    "something after DONE": (sse(FO, UR, "[DONE]", "{oops"),),
}


@pytest.mark.parametrize("kind", SPELLINGS)
def test_however_nothing_is_spelt_the_reply_comes_after_one_request(httpserver: HTTPServer, kind: str) -> None:
    httpserver.expect_request(PATH).respond_with_handler(lambda asked: stream(*SPELLINGS[kind]))
    assert answer(player(httpserver)) == [(Reply("four", "end"),)] and len(httpserver.log) == 1


def test_reading_is_linear_whatever_comes() -> None:
    """A megabyte of line ends, of events without end, and of single bytes: a second at most, not hours."""
    for piece in (b"\n" * 2**20, b"\r" * 2**20, b"data: [\n" * 2**17, b"data: null\n" * 2**16):
        began = time.process_time()
        reader = EventStream()
        with contextlib.suppress(chat_stream.Failed):
            reader.feed(piece)
            reader.close()
        assert time.process_time() - began < 5


@settings(max_examples=100)
@given(st.lists(st.integers(1, 30), max_size=20), st.sampled_from(["\n", "\r", "\r\n"]))
def test_where_the_network_cuts_changes_nothing(cuts: list[int], end: str) -> None:
    whole, reader = sse(FO, "null", UR, STOP, "[DONE]", end=end * 2), EventStream()
    for cut in cuts:
        reader.feed(whole[:cut])
        whole = whole[cut:]
    reader.feed(whole)
    reader.close()
    assert (reader.text, reader.finish, reader.done) == ("four", "stop", True)


def test_a_complete_reply_outlives_its_connection(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that breaks, or is never closed, after the server has said why the reply ends."""
    whole = sse(FO, UR, STOP)
    cut = Response(iter([whole]), content_type="text/event-stream", headers={"Content-Length": "5000"})
    httpserver.expect_request(PATH).respond_with_handler(lambda asked: cut)
    assert answer(player(httpserver)) == [(Reply("four", "end"),)] and len(httpserver.log) == 1
    monkeypatch.setattr(chat_stream, "LINGER", 0.05)

    async def open_ended():
        yield whole
        await asyncio.sleep(60)

    assert asyncio.run(chat_stream._read(open_ended(), request(), 10**6)) == Reply("four", "end")


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
    "no reply at all": (lambda a: stream(sse("{}", "[DONE]")), {}, "ended without a reply", 3),
    "an error as an object": (
        lambda a: stream(sse('{"object": "error", "message": "overloaded"}', "[DONE]")),
        {},
        "overloaded",
        3,
    ),
    "a delta of another kind": (
        lambda a: stream(sse('{"choices": [{"delta": "fo"}]}')),
        {},
        "chat completion chunk",
        3,
    ),
    "parts of another kind": (
        lambda a: stream(sse('{"choices": [{"delta": {"content": [{"type": "text", "text": 5}]}}]}')),
        {},
        "chat completion chunk",
        3,
    ),
    "half an event at the end": (lambda a: stream(sse(FO) + b'data: {"choices": [{"del'), {}, "not JSON", 3),
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
