"""One reply over the wire, read with suspicion.

It comes as a streamed chat completion of an OpenAI-compatible server.

The server is not trusted: only an event stream with status 200 is read, at most so many bytes of it, never through a
redirect (which could carry the prompt elsewhere) and never compressed (a small answer could unfold into a huge one).
What it says is made safe for tokenizers, terminals and the database.

How a stream may be spelt is `event_stream`'s. Left out on purpose: when to try again, deadlines and the circuit breaker
(`league.backends.remote`).
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai

from league.backends.event_stream import EventStream, Failed
from league.config import RemoteConfig
from league.types import Reply, Request

CONNECT_SECONDS = 10.0
AGAIN = frozenset({408, 409, 425, 429})
"""Statuses below 500 after which another attempt makes sense."""
LINGER = 2.0
"""Seconds to wait for the end of a stream whose reply is complete: not every server closes it."""
CHARS_PER_TOKEN = 6
"""A reply is cut at so many characters per token asked for.

A server that ignores the limit must not fill the next player's context.
"""


def open_client(config: RemoteConfig, key: str) -> openai.AsyncOpenAI:
    """A client that tries once and follows no redirect.

    It refuses whatever is no event stream before reading it.
    """
    limits = httpx2.Limits(max_connections=config.parallel)
    timeout = httpx2.Timeout(config.deadline, connect=min(CONNECT_SECONDS, config.deadline))
    http = openai.DefaultAsyncHttpxClient(
        follow_redirects=False, limits=limits, timeout=timeout, event_hooks={"response": [_admit]}
    )
    return openai.AsyncOpenAI(base_url=config.base_url, api_key=key, max_retries=0, timeout=timeout, http_client=http)


async def ask(client: openai.AsyncOpenAI, config: RemoteConfig, request: Request, sample: int) -> Reply:
    """One attempt at one sample. Raises Failed."""
    try:
        async with client.chat.completions.with_streaming_response.create(
            **arguments(config, request, sample)
        ) as response:
            return await _read(response.iter_bytes(), request, 1000 * config.max_kilobytes)
    except openai.APIConnectionError as error:
        raise Failed(f"cannot be reached ({_cause(error)})", again=True) from error
    except httpx2.HTTPError as error:
        raise Failed(f"the connection broke ({type(error).__name__}: {error})", again=True) from error
    except openai.OpenAIError as error:
        raise Failed(f"{type(error).__name__}: {error}", again=False) from error


def arguments(config: RemoteConfig, request: Request, sample: int) -> dict[str, Any]:
    """The request's body. A grammar cannot be sent: the task judges what comes back."""
    sampling = request.sampling
    asked: dict[str, Any] = {
        "model": config.model,
        "messages": [{"role": message.role, "content": _encodable(message.content)} for message in request.messages],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        config.tokens_field: sampling.max_tokens,
        "seed": (request.seed + sample) % 2**31,
        "stream": True,
        "extra_headers": {"Accept": "text/event-stream", "Accept-Encoding": "identity"},
    }
    if sampling.stop:
        asked["stop"] = list(sampling.stop[:4])
    if sampling.top_k:
        asked["extra_body"] = {"top_k": sampling.top_k}
    return asked


# ------------------------------------------------------------------------------------------------- admission
async def _admit(response: httpx2.Response) -> None:
    """Raises Failed for anything but a plain event stream.

    By then at most the first bytes of an error have been read.
    """
    kind = response.headers.get("content-type", "no content type").split(";")[0].strip().lower()
    status = response.status_code
    if 300 <= status < 400:
        raise Failed(f"answered with a redirect (status {status}); put the final address into base_url", again=False)
    if status != 200:
        text = "" if "content-encoding" in response.headers else await _beginning(response)
        after = retry_after(response.headers.get("retry-after"))
        raise Failed(
            f"answered with status {status}{': ' + text if text else ''}",
            again=status in AGAIN or status >= 500,
            after=after,
        )
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise Failed("sent a compressed answer although none was accepted", again=False)
    if kind != "text/event-stream":
        raise Failed(
            f"sent {kind[:60]}; expected text/event-stream (is base_url the address of the API, "
            "usually ending in /v1?)",
            again=True,
        )


async def _beginning(response: httpx2.Response, most: int = 2000) -> str:
    found = b""
    async for chunk in response.aiter_raw():
        found += chunk[:most]
        if len(found) >= most:
            break
    return " ".join(safe(found[:most].decode("utf-8", "replace")).split())[:300]


def retry_after(header: str | None) -> float | None:
    """Seconds of a Retry-After header, which holds seconds or a date; None without a usable one."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            when = parsedate_to_datetime(header)
        except (ValueError, TypeError):
            return None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        seconds = (when - datetime.now(UTC)).total_seconds()
    return max(0.0, seconds) if seconds == seconds else None


def _cause(error: BaseException) -> str:
    """The innermost reason of a connection error, in a few words."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


# --------------------------------------------------------------------------------------------------- reading
async def _read(chunks: AsyncIterator[bytes], request: Request, most: int) -> Reply:
    """Put the pieces of a stream together.

    Raises Failed when it is no chat stream, ends before its end, or goes beyond `most` bytes. Once the server has said
    why the reply ends, nothing that happens to the connection afterwards can take the reply away.
    """
    size, stream = 0, EventStream()
    while not stream.done:
        try:
            async with asyncio.timeout(LINGER if stream.complete else None):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            stream.close()
            break
        except (TimeoutError, httpx2.HTTPError):
            if not stream.complete:
                raise
            break
        size += len(chunk)
        if size > most:
            raise Failed(f"sent more than {most // 1000} kB for one reply", again=False)
        stream.feed(chunk)
    if not stream.complete:
        what = "ended without a reply (no choices)" if stream.done else "was cut off before its end"
        raise Failed(f"the stream {what}", again=True)
    return _reply(stream.text, stream.finish or "stop", request)


def _reply(text: str, finish: str, request: Request) -> Reply:
    """The reply as a local player's would be: safe text, cut at stop strings and length."""
    text = safe(text)
    cuts = [at for stop in request.sampling.stop if (at := text.find(stop)) >= 0]
    if cuts:
        return Reply(text[: min(cuts)], "stop")
    most = CHARS_PER_TOKEN * request.sampling.max_tokens
    if len(text) > most:
        return Reply(text[:most], "length")
    return Reply(text, "length" if finish == "length" else "end")


_HIDDEN = {
    *range(0x00, 0x20),
    *range(0x7F, 0xA0),
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    0x200E,
    0x200F,
    0xFEFF,
} - {0x09, 0x0A}
_SAFE: dict[int, str | None] = dict.fromkeys(_HIDDEN, "\ufffd") | {0x0D: None}


def safe(text: str) -> str:
    """Text that any encoder, terminal and database takes.

    Surrogate pairs are joined; lone ones and control characters are replaced by U+FFFD.

    Line ends become \n; tabs stay. Marks that turn the writing direction count as control characters: they make text
    look like other text.
    """
    return _encodable(text).replace("\r\n", "\n").translate(_SAFE)


def _encodable(text: str) -> str:
    """Surrogate pairs joined, lone surrogates replaced: JSON may hold them, UTF-8 may not."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
