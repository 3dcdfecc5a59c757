"""What every engine offers, and the values that callers and engines share.

An engine runs one base model with the adapters of one bank. Callers (rollouts, updates, scores) know these protocols
only; `league.model.engine_choice` says which engine serves a model.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from league.types import Version

Row = tuple[tuple[int, ...], tuple[int, ...]]
"""(prompt, completion) token ids."""
GradientSink = Mapping[Version, Tensor]
"""version → its flat fp32 gradient [P], in the layout of its adapter; added to in place."""


@dataclass(frozen=True)
class Prompt:
    """A prompt to prefill once and continue `copies` times; version None is the base model."""

    version: Version | None
    tokens: tuple[int, ...]
    copies: int


@dataclass(frozen=True)
class MicroBatch:
    """Rows to be computed together, by index."""

    order: tuple[int, ...]


@dataclass(frozen=True)
class Pass:
    """A forward pass: hidden states at the N loss positions, and its backward."""

    hidden_NH: Tensor
    backward: Callable[[Tensor], None]
    """Takes the gradient at `hidden_NH` and adds those of A and B to the sink. To be called once."""


class Session(Protocol):
    """Rows that are decoded together, sorted by version as their prompts were."""

    logits_RV: Tensor
    """Logits of every row's next token."""
    reused: int
    """Prompt tokens whose keys and values were known from an earlier session."""

    def keep(self, index: Tensor) -> None:
        """Keep the rows at `index` (ascending) and drop the others."""
        ...

    def cache_prefixes(self, rows: Iterable[int]) -> None:
        """Offer what these rows have read and said to the prefix cache, where there is one."""
        ...

    def step(self, tokens_R: Tensor) -> None:
        """Append one token to every row and compute the next logits."""
        ...


class Engine(Protocol):
    """A base model with the adapters of its bank: decoding, and forward and backward passes."""

    def open(self, prompts: Sequence[Prompt], reserve: int) -> Session:
        """Prefill prompts, sorted by version (None first); `reserve` is the most tokens that will follow."""
        ...

    def prefix_caching(self, limit: int) -> AbstractContextManager[None]:
        """While it lasts, sessions may reuse the keys and values of up to `limit` earlier tokens."""
        ...

    def forget(self) -> None:
        """Free what is kept between calls, before an update needs the memory."""
        ...

    def plan(self, rows: Sequence[Row], versions: Sequence[Version], budget: int) -> list[MicroBatch]:
        """Divide rows into micro-batches of about `budget` tokens; a longer row is one of its own."""
        ...

    def run(
        self, rows: Sequence[Row], versions: Sequence[Version | None], sink: GradientSink | None, checkpointing: bool
    ) -> Pass:
        """Hidden states that predict the completions' tokens, row by row; version None is the base model.

        Without a sink there is no backward. Checkpointing saves memory: the backward computes each layer again.
        """
        ...
