"""Rollouts from the adapter bank in this process: one mixed-adapter batch for a whole stage.

Each distinct (version, prompt) is prefilled once and shared by its samples; rows that end leave the batch. Sample j
of a request draws its uniforms from the stream (request.seed, j) alone, so neither the batch nor its order changes
what a row draws. (The logits of a row may differ in the last bits between batches of different shape; the same call
twice gives the same bits on CPU.)
"""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np
import torch

from league.errors import BackendError, PromptTooLong, UserError
from league.model.bank import AdapterBank
from league.model.base import BaseModel
from league.model.engine import Engine, Prompt
from league.model.engine_choice import engine_for
from league.model.grammar import Grammars, Guide, unpack_mask
from league.model.sampling import RowSampling, draw
from league.seeds import generator
from league.types import Reply, Request, Version


@dataclass
class Stats:
    """Totals since the backend was made."""

    prompt_tokens: int = 0
    """Tokens of distinct prompts: a prompt shared by its samples counts once."""
    reused_tokens: int = 0
    """Those among them whose keys and values were known from an earlier turn.

    Each distinct beginning counts once.
    """
    generated_tokens: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    calls: int = 0
    row_steps: int = 0


@dataclass
class _ReplyInProgress:
    """One sample being decoded."""

    request: int
    sample: int
    limit: int
    uniforms: np.ndarray
    guide: Guide | None = None
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    reply: Reply | None = None


def encoded(base: BaseModel, requests: Sequence[Request]) -> list[tuple[int, ...] | BackendError]:
    """The tokens of every request's prompt, or why it cannot be answered: it leaves no room for a reply."""
    found: list[tuple[int, ...] | BackendError] = []
    for request in requests:
        try:
            found.append(base.encode(request.messages))
        except PromptTooLong as error:
            found.append(BackendError(str(error)))
    return found


class LocalBackend:
    """types.Backend over a BaseModel and its AdapterBank.

    max_rows and max_tokens bound a batch: keys and values of one token take 23 kB in SmolLM2-135M, so the default
    holds 0.6 GB. Rows that have ended leave once fewer than the share `compact` of the batch is left. Within
    `prefix_caching`, the keys and values of at most `cached_tokens` tokens (0.4 GB) are kept from call to call; 0
    switches that off.
    """

    def __init__(
        self,
        base: BaseModel,
        bank: AdapterBank,
        *,
        max_rows: int = 256,
        max_tokens: int = 24_576,
        compact: float = 0.8,
        cached_tokens: int = 16_384,
        engine: Engine | None = None,
    ):
        if max_rows < 1 or max_tokens < 1 or cached_tokens < 0:
            raise UserError(
                f"max_rows {max_rows}, max_tokens {max_tokens}, cached_tokens {cached_tokens}: "
                "expected at least 1, 1 and 0"
            )
        self.base, self.bank, self.compact = base, bank, compact
        self.max_rows, self.max_tokens, self.cached_tokens = max_rows, max_tokens, cached_tokens
        self.engine = engine or engine_for(bank)
        self.stats = Stats()
        self._grammars: Grammars | None = None

    def prefix_caching(self) -> AbstractContextManager[None]:
        """While it lasts, of a prompt that begins like an earlier one only the rest is computed.

        What a version has read or said counts, for that version.
        """
        return self.engine.prefix_caching(self.cached_tokens)

    def generate(self, requests: Sequence[Request]) -> list[tuple[Reply, ...] | BackendError]:
        """Answer every request with its `samples` replies, in order.

        One whose prompt does not fit the context gets a BackendError.
        """
        wall, cpu = time.perf_counter(), time.process_time()
        fitting = encoded(self.base, requests)
        prompts = [() if isinstance(prompt, BackendError) else prompt for prompt in fitting]
        rows = [
            self._row(request, index, j, len(prompts[index]))
            for index, request in enumerate(requests)
            if prompts[index]
            for j in request.draws
        ]
        for group in self._groups(requests, prompts, rows):
            self._decode(requests, prompts, group)
        self.stats.seconds += time.perf_counter() - wall
        self.stats.cpu_seconds += time.process_time() - cpu
        self.stats.calls += 1
        replies: list[list[Reply]] = [[] for _ in requests]
        for row in rows:
            assert row.reply is not None
            replies[row.request].append(row.reply)
        return [
            prompt if isinstance(prompt, BackendError) else tuple(items)
            for prompt, items in zip(fitting, replies, strict=True)
        ]

    def _row(self, request: Request, index: int, j: int, prompt: int) -> _ReplyInProgress:
        if request.version is not None and request.version not in self.bank:
            raise BackendError(f"{request.version}: no such adapter is loaded")
        limit = min(request.sampling.max_tokens, self.base.context - prompt)
        guide = self._guide(request.sampling.grammar) if request.sampling.grammar is not None else None
        return _ReplyInProgress(index, j, limit, generator("sample", request.seed, j).random(max(limit, 0)), guide)

    def _guide(self, grammar: str) -> Guide:
        if self._grammars is None:
            self._grammars = Grammars(self.base)
        return self._grammars.start(grammar)

    def _allowed(self, rows: list[_ReplyInProgress]) -> torch.Tensor | None:
        """Tokens each row's grammar allows [R, V]; None when no row has one."""
        if all(row.guide is None for row in rows):
            return None
        assert self._grammars is not None
        masks_RW = np.full((len(rows), self._grammars.words), -1, dtype=np.int32)
        for index, row in enumerate(rows):
            if row.guide is not None and row.reply is None:
                masks_RW[index] = row.guide.mask()
        return unpack_mask(torch.from_numpy(masks_RW).to(self.base.device), self.base.head_VH.shape[0])

    def _groups(
        self, requests: Sequence[Request], prompts: list[tuple[int, ...]], rows: list[_ReplyInProgress]
    ) -> list[list[_ReplyInProgress]]:
        """Batches within max_rows and max_tokens, sorted by version and prompt.

        So a batch has few adapters, and prefixes that can be shared.
        """

        def order(row: _ReplyInProgress) -> tuple[str, int, tuple[int, ...], int, int]:
            version = requests[row.request].version
            return (
                version.agent if version else "",
                version.step if version else -1,
                prompts[row.request],
                row.request,
                row.sample,
            )

        groups: list[list[_ReplyInProgress]] = []
        distinct: set[tuple[Version | None, tuple[int, ...]]] = set()
        longest = limit = 0
        for row in sorted(rows, key=order):
            key = (requests[row.request].version, prompts[row.request])
            longest, limit = max(longest, len(key[1])), max(limit, row.limit)
            count = len(groups[-1]) + 1 if groups else 1
            cached = (len(distinct) + (key not in distinct)) * longest + count * limit
            if not groups or count > self.max_rows or cached > self.max_tokens:
                groups.append([])
                distinct, longest, limit = set(), len(key[1]), row.limit
            groups[-1].append(row)
            distinct.add(key)
        return groups

    def _decode(
        self, requests: Sequence[Request], prompts: list[tuple[int, ...]], rows: list[_ReplyInProgress]
    ) -> None:
        settings = [requests[row.request].sampling for row in rows]
        distinct: dict[tuple[Version | None, tuple[int, ...]], int] = {}
        for row in rows:
            key = (requests[row.request].version, prompts[row.request])
            distinct[key] = distinct.get(key, 0) + 1
        session = self.engine.open(
            [Prompt(*key, copies) for key, copies in distinct.items()], max(row.limit for row in rows)
        )
        self.stats.prompt_tokens += sum(len(tokens) for _, tokens in distinct)
        self.stats.reused_tokens += session.reused
        sampling = RowSampling.of(settings, self.base.device)
        live, step = list(rows), 0
        with torch.inference_mode():
            while live:
                uniforms_R = torch.tensor(
                    [row.uniforms[step] if step < row.limit else 0.0 for row in live], dtype=torch.float64
                )
                tokens_R, logprobs_R = draw(session.logits_RV, sampling, uniforms_R, self._allowed(live))
                for row, token, logprob in zip(live, tokens_R.tolist(), logprobs_R.tolist(), strict=True):
                    if row.reply is None:
                        self._append(requests[row.request], prompts[row.request], row, token, logprob)
                self.stats.row_steps += len(live)
                step += 1
                going = [index for index, row in enumerate(live) if row.reply is None]
                if not going:
                    session.cache_prefixes(range(len(live)))
                    break
                if len(going) <= self.compact * len(live):
                    index = torch.tensor(going, device=self.base.device)
                    session.keep(index)
                    sampling, tokens_R = sampling.rows(index), tokens_R[index]
                    live = [live[i] for i in going]
                session.step(tokens_R)

    def _append(
        self, request: Request, prompt: tuple[int, ...], row: _ReplyInProgress, token: int, logprob: float
    ) -> None:
        """Add a token to a row and close the row where it ends: end token, stop string or length."""
        row.tokens.append(token)
        row.logprobs.append(logprob)
        if not np.isfinite(logprob):
            raise BackendError(
                f"{request.version or 'base'}: non-finite log-probability while sampling "
                "(are the adapter's weights finite?)"
            )
        if row.guide is not None:
            row.guide.take(token)
        if token in self.base.end_tokens:
            self._close(row, prompt, self.base.decode(row.tokens[:-1]), "end")
            return
        if request.sampling.stop:
            text = self.base.decode(row.tokens)
            cuts = [at for stop in request.sampling.stop if (at := text.find(stop)) >= 0]
            if cuts:
                self._close(row, prompt, text[: min(cuts)], "stop")
                return
        if len(row.tokens) >= row.limit:
            self._close(row, prompt, self.base.decode(row.tokens), "length")

    def _close(self, row: _ReplyInProgress, prompt: tuple[int, ...], text: str, finish: str) -> None:
        self.stats.generated_tokens += len(row.tokens)
        row.reply = Reply(text, finish, prompt, tuple(row.tokens), tuple(row.logprobs))  # type: ignore[arg-type]
