"""Asking the model hub without waiting in vain: whether it answers, and what goes wrong.

Left to itself the hub's client tries five times, for 23 seconds, with an error of its own for every try; and where a
network swallows packets, it waits for minutes.
"""

import importlib
import importlib.util
import logging
import os
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException

PATIENCE = 2.0
"""Seconds within which the hub must begin to answer.

`HF_HUB_ETAG_TIMEOUT`, the client's own setting, may ask for more.
"""


def unreachable() -> str | None:
    """Why the hub cannot be reached; None where it answers, whatever it answers."""
    from huggingface_hub.constants import ENDPOINT

    patience = _patience()
    reasons = ["no answer"]
    answered = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(ENDPOINT, method="HEAD"), timeout=patience).close()
        except urllib.error.HTTPError:
            pass
        except (OSError, ValueError, HTTPException) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            if not isinstance(reason, ssl.SSLError):  # somebody answers: the client has certificates of its own
                reasons.append(str(reason) or type(reason).__name__)
        answered.set()

    # a thread, because looking up a name knows no time limit
    threading.Thread(target=ask, name="hub", daemon=True).start()
    if answered.wait(patience + 0.1) and len(reasons) == 1:
        return None
    return f"{ENDPOINT} cannot be reached within {patience:g} s ({reasons[-1]})"


def _patience() -> float:
    try:
        return max(PATIENCE, float(os.environ.get("HF_HUB_ETAG_TIMEOUT", PATIENCE)))
    except ValueError:
        return PATIENCE


def client_errors() -> tuple[type[Exception], ...]:
    """All that the hub's client raises where the hub, the network or a name is at fault.

    The errors of whichever HTTP library the installed client rests on pass through it as they are.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled

    names = [name for name in ("httpx2", "httpx") if importlib.util.find_spec(name)]
    network = tuple(importlib.import_module(name).HTTPError for name in names)
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
                progress("the hub has trouble; trying again for up to half a minute ...")
            return False
        return True

    logger.addFilter(once)
    try:
        yield
    finally:
        logger.removeFilter(once)
