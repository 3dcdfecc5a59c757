"""Remote players that try again and give up.

Replies that a resumed round does not ask for twice, and keys that are nowhere.
"""

import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request as Asked
from werkzeug import Response

from league.backends import chat_stream
from league.backends.remote import COOL_DOWN, FAILURES, Breaker, RemoteBackend, backoff, key_of, request_key
from league.errors import BackendError, RunFolderError
from league.store.journal import ReplyJournal
from league.types import Message, Reply, Request, Sampling, Version
from tests.helpers.remote_server import DONE, PATH, Naps, answer, chunk, player, refused_port, request, says, stream


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
    httpserver.expect_request(PATH).respond_with_handler(
        lambda a: says("four")(a) if working[0] else Response("", status=404)
    )
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
    backend = RemoteBackend(
        {"gpt": player(httpserver), "gone": player(f"http://127.0.0.1:{refused_port()}/v1")}, sleep=Naps()
    )
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
    assert (
        heard(request(seed=8)) != first and heard(request("other")) != first and heard(request(max_tokens=9)) != first
    )
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


def test_a_full_disk_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("league.store.fs.append", full)
    with (
        HTTPServer() as server
    ):  # its own: what is still under way when the first reply cannot be kept must reach no other test
        server.expect_request(PATH).respond_with_handler(says("four"))
        with pytest.raises(RunFolderError, match="No space left"):
            answer(player(server), request(samples=3), journal=ReplyJournal(tmp_path / "journal", lambda: 0))


# ----------------------------------------------------------------------------------------------------- secrets
def test_keys_come_from_the_environment_and_are_struck_out(
    httpserver: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
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


def test_a_request_in_two_parts_asks_and_remembers_the_same_samples(httpserver: HTTPServer) -> None:
    """Sample j has the same seed on the wire and the same key in the journal, whichever request asks for it."""

    class Remembers(dict[str, Reply]):
        def find(self, key: str) -> Reply | None:
            return self.get(key)

        def keep(self, key: str, reply: Reply) -> None:
            self[key] = reply

    seeds: list[int] = []

    def by_seed(asked: Asked) -> Response:
        seeds.append(json.loads(asked.data)["seed"])
        return stream(chunk(f"seed {seeds[-1]}"), chunk(finish="stop"), DONE)

    httpserver.expect_request(PATH).respond_with_handler(by_seed)
    config, journal = player(httpserver), Remembers()
    whole = request(samples=5)
    (first,) = answer(config, replace(whole, samples=2), journal=journal)
    (rest,) = answer(config, replace(whole, samples=3, first=2), journal=journal)
    assert sorted(seeds) == [whole.seed + j for j in range(5)] and len(journal) == 5
    assert isinstance(first, tuple) and isinstance(rest, tuple)
    assert answer(config, whole, journal=journal) == [(*first, *rest)] and len(seeds) == 5
