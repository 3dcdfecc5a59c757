"""Asking the model hub without waiting in vain: whether it answers as a hub does, and what goes wrong.

Left to itself the hub's client tries five times, for 23 seconds or for as long as the hub says, with an error of its
own for every try; and where a network swallows packets, it waits for minutes. So the hub is asked beforehand, once.
"""

import importlib
import importlib.util
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import quote

from league.errors import Foreign, UserError

PATIENCE = 2.0
"""Seconds that the hub has for each answer.

`HF_HUB_ETAG_TIMEOUT`, the client's own setting, may ask for more.
"""
MOST_BYTES = 64 << 20
"""More than any list of files has; an answer beyond is not read to its end."""
Kind = Literal["model", "dataset"]


def unreachable(
    repository: str, revision: str | None = None, *, kind: Kind = "model", file: str | None = None
) -> str | None:
    """Why the hub cannot give a repository now; None where it answers as a hub does.

    Asked once and without a second try: which commit it is, what it holds, and for `file`, which is JSON. Who answers
    with an error, with something else (a proxy's page) or not in time is out of reach.
    """
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        return str(error).splitlines()[0]
    patience, answers = _patience(), threading.Semaphore(0)
    reasons = [f"{ENDPOINT} cannot be reached within {patience:g} s (no answer)"]

    def ask() -> None:
        try:
            for question in _questions(repository, revision, kind, file):
                question(patience)
                answers.release()
        except UserError as error:
            reasons.append(str(error).splitlines()[0])
            answers.release()

    # a thread, because looking up a name knows no time limit
    threading.Thread(target=ask, name="hub", daemon=True).start()
    for _ in range(3 if file else 2):
        if not answers.acquire(timeout=patience + 0.1) or len(reasons) > 1:
            return reasons[-1]
    return None


def _questions(
    repository: str, revision: str | None, kind: Kind, file: str | None
) -> Iterator[Callable[[float], None]]:
    """What is asked, in order; each raises UserError where the answer is none of a hub."""
    from huggingface_hub.constants import ENDPOINT

    commit = ""

    def which(patience: float) -> None:
        nonlocal commit
        found = _json(f"{ENDPOINT}/api/{kind}s/{quote(repository)}/revision/{_quoted(revision or 'main')}", patience)
        commit = str(found.get("sha") or "") if isinstance(found, dict) else ""
        if not commit:
            raise UserError(_not_a_hub(ENDPOINT, "no commit of the repository"))

    def what(patience: float) -> None:
        found = _json(f"{ENDPOINT}/api/{kind}s/{quote(repository)}/tree/{_quoted(commit)}?recursive=true", patience)
        if not isinstance(found, list):
            raise UserError(_not_a_hub(ENDPOINT, "no list of files"))

    def one_file(patience: float) -> None:
        folder = "datasets/" if kind == "dataset" else ""
        found = _json(f"{ENDPOINT}/{folder}{quote(repository)}/resolve/{_quoted(commit)}/{quote(file or '')}", patience)
        if not isinstance(found, dict):
            raise UserError(_not_a_hub(ENDPOINT, f"{file} is no JSON object"))

    yield which
    yield what
    if file:
        yield one_file


def _json(address: str, patience: float) -> object:
    """What an address answers, as JSON. Raises UserError, its first line the reason."""
    from huggingface_hub.constants import ENDPOINT
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    deadline, parts, size = time.monotonic() + patience, [], 0
    try:
        with get_session().stream("GET", address, headers=build_hf_headers(), timeout=patience) as response:
            with Foreign(f"{ENDPOINT} answers {response.status_code}"):
                hf_raise_for_status(response)
            for part in response.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > MOST_BYTES or time.monotonic() > deadline:
                    raise UserError(_not_a_hub(ENDPOINT, "an answer without an end"))
    except client_errors() as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
        raise UserError(
            f"{ENDPOINT} cannot be reached within {patience:g} s ({type(error).__name__}: {reason})"
        ) from error
    try:
        return json.loads(b"".join(parts))
    except (ValueError, RecursionError) as error:
        raise UserError(_not_a_hub(ENDPOINT, "no JSON")) from error


def _not_a_hub(endpoint: str, what: str) -> str:
    return f"{endpoint} does not answer as a hub does ({what}): is there a proxy that wants a login?"


def _quoted(revision: str) -> str:
    return quote(revision, safe="")


def _patience() -> float:
    try:
        return min(600.0, max(PATIENCE, float(os.environ.get("HF_HUB_ETAG_TIMEOUT", PATIENCE))))
    except ValueError:
        return PATIENCE


def client_errors() -> tuple[type[Exception], ...]:
    """All that the hub's client raises where the hub, the network or a name is at fault.

    The errors of whichever HTTP library the installed client rests on pass through it as they are.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    names = [name for name in ("httpx2", "httpx") if importlib.util.find_spec(name)]
    network = tuple(
        kind
        for library in map(importlib.import_module, names)
        for kind in (library.HTTPError, library.InvalidURL, library.StreamError)
    )
    return (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError, *network)


@contextmanager
def retries_in_one_line(progress: Callable[[str], None]) -> Iterator[None]:
    """The client's warnings, a pair for every try, become one line."""
    logger = logging.getLogger("huggingface_hub.utils._http")
    said: list[logging.LogRecord] = []

    def once(record: logging.LogRecord) -> bool:
        if record.levelno == logging.WARNING:
            if not said:
                said.append(record)
                progress("the hub has trouble with a file; its client tries again for half a minute or longer ...")
            return False
        return True

    logger.addFilter(once)
    try:
        yield
    finally:
        logger.removeFilter(once)
