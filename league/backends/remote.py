"""Players behind an OpenAI-compatible server, as frozen members of the population.

They can be slow, wrong, or gone.

Who cannot answer makes the match void, never a loss: `generate` then returns a BackendError in the place of the
replies. A reply has a deadline for all its attempts together; failed attempts are repeated after a jittered, doubling
wait, or after what Retry-After asks; a player that fails again and again is left alone for a while (circuit breaker).
The jitter comes from the request's seed, so a replay waits alike.

Each reply is put into the run's journal before it is used. A round that was interrupted replays them, and is the same
round; failures are not replayed. Keys are read from the environment by name, and the value is struck out of
everything a server says.
"""

import asyncio
import hashlib
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from league.config import RemoteConfig
from league.errors import BackendError
from league.seeds import generator
from league.types import Reply, Request

if TYPE_CHECKING:
    from openai import AsyncOpenAI

FIRST_WAIT = 0.5
"""Seconds, doubled with each attempt, times a jitter from ½ to 1½."""
FAILURES, COOL_DOWN = 5, 60.0
"""So many replies failed in a row open the breaker for so many seconds; then one is tried."""


class Journal(Protocol):
    """What was replied in the round under way, durably."""

    def find(self, key: str) -> Reply | None: ...

    def keep(self, key: str, reply: Reply) -> None: ...


def request_key(config: RemoteConfig, request: Request, sample: int) -> str:
    """sha256 of all that a reply depends on."""
    sampling = request.sampling
    asked = [
        config.base_url,
        config.model,
        [[message.role, message.content] for message in request.messages],
        request.seed,
        sample,
        [sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_tokens, list(sampling.stop)],
    ]
    return hashlib.sha256(json.dumps(asked, separators=(",", ":")).encode()).hexdigest()


def key_of(config: RemoteConfig, environment: Mapping[str, str] = os.environ) -> str | None:
    """The key's value.

    "" where the server needs none; None when the variable is missing, empty, or cannot be sent in a header.
    """
    if config.key is None:
        return ""
    value = environment.get(config.key, "").strip()
    return value if value and value.isascii() and value.isprintable() else None


def backoff(request: Request, sample: int, attempt: int) -> float:
    """Seconds before attempt `attempt` + 1."""
    return FIRST_WAIT * 2**attempt * (0.5 + float(generator(request.seed, "remote", sample, attempt).random()))


@dataclass
class Breaker:
    """Circuit breaker of one player. `clock` in seconds."""

    clock: Callable[[], float]
    failures: int = 0
    until: float = 0.0

    def closed_for(self) -> float:
        """Seconds for which nobody is to ask; 0 when one may."""
        return max(0.0, self.until - self.clock())

    def succeeded(self) -> None:
        self.failures, self.until = 0, 0.0

    def failed(self, after: float | None) -> None:
        """`after`: what the server asked for, where it is more than an attempt can wait."""
        self.failures += 1
        rest = COOL_DOWN if self.failures >= FAILURES else 0.0
        self.until = max(self.until, self.clock() + max(rest, min(after or 0.0, 10 * COOL_DOWN)))


@dataclass
class RemoteBackend:
    """types.Backend for the agents in `players`.

    All their requests of a stage are under way at once, `parallel` per player.
    """

    players: Mapping[str, RemoteConfig]
    journal: Journal | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    breakers: dict[str, Breaker] = field(default_factory=dict)

    def generate(self, requests: Sequence[Request]) -> list[tuple[Reply, ...] | BackendError]:
        found: dict[tuple[int, int], Reply | BackendError] = {}
        missing: dict[str, list[tuple[int, int]]] = {}
        for place, request in enumerate(requests):
            agent = request.version.agent if request.version else ""
            for sample in request.draws:
                if agent not in self.players:
                    found[place, sample] = BackendError(
                        f"{request.version or 'the base model'} is not a remote player of this run"
                    )
                    continue
                key = request_key(self.players[agent], request, sample)
                known = self.journal.find(key) if self.journal is not None else None
                if known is not None:
                    found[place, sample] = known
                else:
                    missing.setdefault(agent, []).append((place, sample))
        if missing:
            found |= asyncio.run(self._ask(requests, missing))
        return [_together([found[place, sample] for sample in request.draws]) for place, request in enumerate(requests)]

    async def _ask(
        self, requests: Sequence[Request], missing: Mapping[str, Sequence[tuple[int, int]]]
    ) -> dict[tuple[int, int], Reply | BackendError]:
        found = await asyncio.gather(*(self._ask_player(agent, requests, places) for agent, places in missing.items()))
        return {place: answer for answers in found for place, answer in answers.items()}

    async def _ask_player(
        self, agent: str, requests: Sequence[Request], places: Sequence[tuple[int, int]]
    ) -> dict[tuple[int, int], Reply | BackendError]:
        from league.backends.chat_stream import open_client

        config = self.players[agent]
        key = key_of(config, self.environment)
        if key is None:
            return dict.fromkeys(places, BackendError(f"{agent}: the environment variable {config.key} holds no key"))
        slots = asyncio.Semaphore(config.parallel)
        async with open_client(config, key or "none") as client:
            asked = (
                self._one(client, agent, requests[place], sample, slots=slots, key=key) for place, sample in places
            )
            return dict(zip(places, await asyncio.gather(*asked), strict=True))

    async def _one(
        self, client: "AsyncOpenAI", agent: str, request: Request, sample: int, *, slots: asyncio.Semaphore, key: str
    ) -> Reply | BackendError:
        """One reply, or why there is none. In the journal when this returns."""
        config, breaker = self.players[agent], self.breakers.setdefault(agent, Breaker(self.clock))
        async with slots:
            if wait := breaker.closed_for():
                return BackendError(
                    f"{agent}: not asked, it failed {breaker.failures} times in a row; the next try is in {wait:.0f} s"
                )
            answer, after = await self._attempts(client, agent, request, sample, key)
            if isinstance(answer, BackendError):
                breaker.failed(after)
                return answer
            breaker.succeeded()
            if self.journal is not None:
                self.journal.keep(request_key(config, request, sample), answer)
            return answer

    async def _attempts(
        self, client: "AsyncOpenAI", agent: str, request: Request, sample: int, key: str
    ) -> tuple[Reply | BackendError, float | None]:
        from league.backends.chat_stream import Failed, ask

        config = self.players[agent]
        end, reason, after = self.clock() + config.deadline, "no complete reply", None
        try:
            async with asyncio.timeout(config.deadline):
                for attempt in range(config.attempts):
                    try:
                        reply = await ask(client, config, request, sample)
                        return Reply(_without(key, reply.text), reply.finish), None
                    except Failed as failure:
                        reason, after = str(failure), failure.after
                        wait = max(backoff(request, sample, attempt), after or 0.0)
                        if not failure.again or attempt + 1 == config.attempts or self.clock() + wait >= end:
                            break
                        await self.sleep(wait)
        except TimeoutError:
            reason = f"{reason} within {config.deadline:g} s"
        return BackendError(f"{agent}: {_without(key, reason)}"), after


def _together(answers: Sequence[Reply | BackendError]) -> tuple[Reply, ...] | BackendError:
    failed = next((answer for answer in answers if isinstance(answer, BackendError)), None)
    return failed if failed is not None else tuple(answer for answer in answers if isinstance(answer, Reply))


def _without(key: str, text: str) -> str:
    """A server may echo the key, in an error or in a reply: it must not enter the run."""
    return text.replace(key, "[key]") if key else text
