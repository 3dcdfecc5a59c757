"""Remote players against servers that misbehave in every way: void, never a loss, never a traceback, and the key is nowhere."""

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer
from werkzeug import Request as Asked
from werkzeug import Response

from league.backends import chat_stream
from league.backends.remote import COOL_DOWN, FAILURES, Breaker, RemoteBackend, backoff, key_of, request_key
from league.config import RemoteConfig
from league.errors import BackendError, RunFolderError
from league.store.journal import ReplyJournal
from league.types import Message, Reply, Request, Sampling, Version

PATH = "/v1/chat/completions"
GPT = Version("gpt", 0)


def chunk(text: str | None = None, finish: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def stream(*pieces: bytes, **headers: str) -> Response:
    return Response(iter(pieces), content_type="text/event-stream", headers=headers)


def says(text: str) -> Callable[[Asked], Response]:
    return lambda asked: stream(chunk(text[: len(text) // 2]), chunk(text[len(text) // 2 :]), chunk(finish="stop"), DONE)


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


# ------------------------------------------------------------------------------------------- a server that works
def test_a_reply_is_put_together_and_the_request_says_all(httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_handler(says("four"))
    asked = request("hello \ud800", samples=3, temperature=0.5, top_p=0.9, top_k=5, stop=("\n",))
    (found,) = answer(player(httpserver), asked)
    assert found == (Reply("four", "end"),) * 3
    bodies = sorted((json.loads(entry[0].data) for entry in httpserver.log), key=lambda body: body["seed"])
    assert [body["seed"] for body in bodies] == [7, 8, 9]
    assert {key: bodies[0][key] for key in ("model", "temperature", "top_p", "top_k", "max_tokens", "stop", "stream")} == {
        "model": "m", "temperature": 0.5, "top_p": 0.9, "top_k": 5, "max_tokens": 8, "stop": ["\n"], "stream": True,
    }  # fmt: skip
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
        ((b": comment\r\n\r\n", b"event: x\n", b'data: {"choices": []}\r\n\r\n', chunk("ab", "stop")), {}, Reply("ab", "end")),
        ((chunk("one\ntwo"), chunk(finish="stop")), {"stop": ("\n",)}, Reply("one", "stop")),
        ((chunk("x" * 500), chunk(finish="stop")), {"max_tokens": 2}, Reply("x" * 12, "length")),
        ((b'data: {"choices": [{"delta": {"content": "\\ud83d"}}]}\n', b'data: {"choices": [{"delta": {"content": "\\ude00\\udc00"}}]}\n', DONE), {}, Reply("😀\ufffd", "end")),
        ((chunk("a\x00b\x1b[31mc\u202ed\r\ne\tf"), DONE), {}, Reply("a\ufffdb\ufffd[31mc\ufffdd\ne\tf", "end")),
        ((chunk(None), chunk(finish="stop")), {}, Reply("", "end")),
    ],
)  # fmt: skip
def test_what_a_stream_means(httpserver: HTTPServer, pieces: tuple[bytes, ...], sampling: dict, expected: Reply) -> None:
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
        | st.sampled_from([b"data: {}\n", b'data: {"choices": [{"delta": 3}]}\n', b"data: [DONE]\n", b"data: " + b"[" * 99999 + b"\n"]),
        max_size=6,
    )
)
def test_any_bytes_are_a_reply_or_a_failure(pieces: list[bytes]) -> None:  # fmt: skip
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
    "endless stream": (lambda a: Response(endless(), content_type="text/event-stream"), {"max_kilobytes": 50}, "more than 50 kB", 1),
    "huge reply": (lambda a: stream(chunk("x" * 3_000_000), DONE), {}, "more than 1024 kB", 1),
    "one endless line": (lambda a: Response((b"x" * 10_000 for _ in range(10_000)), content_type="text/event-stream"), {}, "more than", 1),
    "429": (lambda a: Response("slow down", status=429), {}, "status 429: slow down", 3),
    "500": (lambda a: Response("oops", status=500), {}, "status 500: oops", 3),
    "503 with an endless body": (lambda a: Response(endless(), status=503), {}, "status 503", 3),
    "401": (lambda a: Response('{"error": "who are you"}', status=401), {}, "status 401", 1),
    "404": (lambda a: Response("no such model", status=404), {}, "status 404", 1),
    "redirect": (lambda a: Response("", status=307, headers={"Location": "http://127.0.0.1:9/v1"}), {}, "redirect", 1),
    "html": (lambda a: Response("<html>log in</html>", content_type="text/html"), {}, "expected text/event-stream", 3),
    "whole JSON": (lambda a: Response('{"choices": []}', content_type="application/json"), {}, "sent application/json", 3),
    "no content type": (lambda a: Response(iter([DONE]), headers={"Content-Type": ""}), {}, "expected text/event-stream", 3),
    "compressed": (lambda a: stream(b"\x1f\x8b", **{"Content-Encoding": "gzip"}), {}, "compressed", 1),
    "wrong JSON": (lambda a: stream(b"data: {oops\n\n", DONE), {}, "not JSON", 3),
    "JSON of another kind": (lambda a: stream(b'data: {"choices": [{"delta": {"content": 5}}]}\n\n', DONE), {}, "chat completion chunk", 3),
    "a list": (lambda a: stream(b"data: [1, 2]\n\n", DONE), {}, "chat completion chunk", 3),
    "an error inside": (lambda a: stream(b'data: {"error": {"message": "overloaded"}}\n\n'), {}, "overloaded", 3),
    "cut stream": (lambda a: stream(chunk("fo")), {}, "cut off", 3),
    "empty stream": (lambda a: stream(), {}, "cut off", 3),
    "cut connection": (
        lambda a: Response(iter([chunk("fo")]), content_type="text/event-stream", headers={"Content-Length": "5000"}), {}, "connection broke", 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISBEHAVIOUR)
def test_misbehaviour_is_a_backend_error(httpserver: HTTPServer, kind: str) -> None:
    handler, changes, reason, attempts = MISBEHAVIOUR[kind]
    httpserver.expect_request(PATH).respond_with_handler(handler)
    started = time.monotonic()
    (found,) = answer(player(httpserver, **changes))
    assert isinstance(found, BackendError) and str(found).startswith("gpt: ") and reason in str(found), found
    assert time.monotonic() - started < 4.0
    assert len(httpserver.log) == attempts or kind == "slow drip"


def refused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_nobody_there_and_no_tls_there(httpserver: HTTPServer) -> None:
    for base in (f"http://127.0.0.1:{refused_port()}/v1", f"https://127.0.0.1:{httpserver.port}/v1", "http://no-such-host.invalid/v1"):
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


# --------------------------------------------------------------------------------- trying again, and giving up
def test_a_failure_is_repeated_with_growing_jittered_waits_that_a_replay_repeats(httpserver: HTTPServer) -> None:
    turns = iter([lambda a: Response("", status=500), lambda a: Response("", status=429), says("four")] * 2)
    httpserver.expect_request(PATH).respond_with_handler(lambda asked: next(turns)(asked))
    seen = []
    for _ in range(2):
        naps = Naps()
        assert RemoteBackend({"gpt": player(httpserver)}, sleep=naps).generate([request()]) == [(Reply("four", "end"),)]
        seen.append(naps.asked)
    assert seen[0] == seen[1] == [backoff(request(), 0, 0), backoff(request(), 0, 1)]
    assert 0.25 <= seen[0][0] <= 0.75 and 0.5 <= seen[0][1] <= 1.5
    assert len({backoff(request(seed=seed), 0, 0) for seed in range(20)}) == 20


def test_attempts_are_the_configs(httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_handler(lambda asked: Response("", status=500))
    answer(player(httpserver, attempts=1))
    assert len(httpserver.log) == 1


def test_retry_after_is_obeyed_and_no_wait_outlasts_the_deadline(httpserver: HTTPServer) -> None:
    def limited(wait: str) -> tuple[list[float], object, RemoteBackend]:
        httpserver.clear()
        turns = iter([Response("", status=429, headers={"Retry-After": wait}), says("four")(None)])  # type: ignore[arg-type]
        httpserver.expect_request(PATH).respond_with_handler(lambda asked: next(turns))
        naps = Naps()
        backend = RemoteBackend({"gpt": player(httpserver)}, sleep=naps)
        return naps.asked, backend.generate([request()])[0], backend

    assert limited("3")[:2] == ([3.0], (Reply("four", "end"),))
    naps, found, backend = limited("100")
    assert naps == [] and isinstance(found, BackendError)
    assert 90 < backend.breakers["gpt"].closed_for() <= 100, "nobody asks before the server wants to be asked"


def test_retry_after_headers() -> None:
    assert chat_stream.retry_after("7") == 7.0
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 55 < (chat_stream.retry_after(later) or 0) <= 60
    for unusable in (None, "", "soon", "nan"):
        assert chat_stream.retry_after(unusable) is None
    assert chat_stream.retry_after("-5") == 0.0


def test_the_breaker_opens_rests_and_closes(httpserver: HTTPServer) -> None:
    now = [0.0]
    working = [False]
    httpserver.expect_request(PATH).respond_with_handler(lambda a: says("four")(a) if working[0] else Response("", status=404))
    backend = RemoteBackend({"gpt": player(httpserver, parallel=1)}, sleep=Naps(), clock=lambda: now[0])
    backend.generate([request(samples=FAILURES + 3)])
    assert len(httpserver.log) == FAILURES, "after so many failures nobody asks any more"
    (found,) = backend.generate([request()])
    assert "not asked" in str(found) and len(httpserver.log) == FAILURES
    now[0] += COOL_DOWN + 1
    (found,) = backend.generate([request(samples=4)])
    assert isinstance(found, BackendError) and len(httpserver.log) == FAILURES + 1, "one probe, and it failed"
    now[0] += COOL_DOWN + 1
    working[0] = True
    assert backend.generate([request(samples=4)]) == [(Reply("four", "end"),) * 4]
    assert backend.breakers["gpt"] == Breaker(backend.clock, 0, 0.0)


def test_one_players_trouble_is_its_own(httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_handler(says("four"))
    backend = RemoteBackend({"gpt": player(httpserver), "gone": player(f"http://127.0.0.1:{refused_port()}/v1")}, sleep=Naps())
    other = Request(Version("gone", 0), (Message("user", "?"),), 1, Sampling(), 1)
    stranger = Request(Version("ada", 3), (Message("user", "?"),), 1, Sampling(), 1)
    good, bad, unknown = backend.generate([request(), other, stranger])
    assert good == (Reply("four", "end"),) and isinstance(bad, BackendError) and isinstance(unknown, BackendError)


# ------------------------------------------------------------------------------------------------- the journal
def test_replies_are_replayed_in_their_round_only(httpserver: HTTPServer, tmp_path: Path) -> None:
    count = [0]

    def counting(asked: Asked) -> Response:
        count[0] += 1
        return says(f"number {count[0]}")(asked)

    httpserver.expect_request(PATH).respond_with_handler(counting)
    number = [4]

    def heard(*requests: Request) -> list:
        journal = ReplyJournal(tmp_path / "journal", lambda: number[0])
        return answer(player(httpserver), *requests, journal=journal)

    first = heard(request())
    assert heard(request()) == first and count[0] == 1, "a new process, the same round"
    assert heard(request(seed=8)) != first and heard(request("other")) != first and heard(request(max_tokens=9)) != first
    number[0] = 5
    assert heard(request()) != first, "another round asks again"
    number[0] = 4
    assert heard(request()) == first
    keys = {request_key(player(httpserver, **c), request(), s) for c in ({}, {"model": "n"}) for s in (0, 1)}
    assert len(keys) == 4


def test_a_torn_or_damaged_line_was_never_written(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = ReplyJournal(folder, lambda: 0)
    journal.keep("a", Reply("one", "end"))
    journal.keep("b", Reply("two \ufffd\n", "length"))
    path = folder / "0.jsonl"
    path.write_bytes(path.read_bytes() + b'["c","thr')
    again = ReplyJournal(folder, lambda: 0)
    assert again.find("b") == Reply("two \ufffd\n", "length") and again.find("c") is None
    again.keep("c", Reply("three", "stop"))
    path.write_bytes(path.read_bytes().replace(b"one", b"0ne"))
    last = ReplyJournal(folder, lambda: 0)
    assert last.find("a") is None and last.find("c") == Reply("three", "stop")
    for junk in (b"\xff\n", b"[]\n", b"3\n", b"[1,2,3,4]\n", b"[" * 10_000 + b"\n"):
        path.write_bytes(junk)
        assert ReplyJournal(folder, lambda: 0).find("a") is None


def test_a_full_disk_is_said_in_words(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    httpserver.expect_request(PATH).respond_with_handler(says("four"))
    monkeypatch.setattr("league.store.fs.append", full)
    with pytest.raises(RunFolderError, match="No space left"):
        answer(player(httpserver), request(samples=3), journal=ReplyJournal(tmp_path / "journal", lambda: 0))


# ----------------------------------------------------------------------------------------------------- secrets
def test_keys_come_from_the_environment_and_are_struck_out(httpserver: HTTPServer, caplog: pytest.LogCaptureFixture) -> None:
    key = "sk-PLANTED-0123456789"
    seen = []

    def echo(asked: Asked) -> Response:
        seen.append(asked.headers["Authorization"])
        return says(f"your key is {key}")(asked) if len(seen) == 1 else Response(f"bad key {key}", status=401)

    httpserver.expect_request(PATH).respond_with_handler(echo)
    caplog.set_level(logging.DEBUG)
    backend = RemoteBackend({"gpt": player(httpserver, key="LEAGUE_KEY")}, environment={"LEAGUE_KEY": f" {key}\n"})
    (good,), (bad,) = backend.generate([request(max_tokens=99)]), backend.generate([request()])
    assert seen == [f"Bearer {key}"] * 2
    assert good == (Reply("your key is [key]", "end"),) and "bad key [key]" in str(bad)
    assert key not in caplog.text and key not in repr(backend)


def test_a_key_that_is_not_there_asks_nobody(httpserver: HTTPServer) -> None:
    config = player(httpserver, key="LEAGUE_KEY")
    for environment in ({}, {"LEAGUE_KEY": "  "}, {"LEAGUE_KEY": "ключ"}, {"LEAGUE_KEY": "a\nb"}):
        assert key_of(config, environment) is None
        (found,) = answer(config, environment=environment)
        assert "LEAGUE_KEY" in str(found)
    assert not httpserver.log
