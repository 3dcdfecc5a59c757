"""Grammars (Lark, through llguidance): which tokens may come next.

Optional: `pip install llm-league[grammars]`. A mask is packed, 32 tokens to an int32, because a vocabulary of booleans
per token is large. Replaying a completion gives the update the same masks that sampling used.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from league.errors import BackendError, UserError
from league.model.base import BaseModel

COMPILED = 1024
"""Compiled grammars that are kept, the newest: a game's positions have a grammar each."""


class Grammars:
    """Compiled grammars over one tokenizer; a grammar is compiled once per text while it is kept."""

    def __init__(self, base: BaseModel):
        try:
            import llguidance.hf
            import llguidance.numpy
        except ImportError as error:
            raise UserError(
                "a grammar was asked for, but llguidance is not installed: pip install 'llm-league[grammars]'"
            ) from error
        self._llguidance: Any = llguidance
        self.words = -(-base.head_VH.shape[0] // 32)
        tokenizer: Any = base.tokenizer
        self._tokenizer = llguidance.hf.from_tokenizer(
            tokenizer, n_vocab=base.head_VH.shape[0], eos_token=sorted(base.end_tokens)
        )
        self._compiled: OrderedDict[str, Any] = OrderedDict()

    def start(self, grammar: str) -> "Guide":
        """A fresh guide. Raises UserError when the grammar does not compile."""
        if grammar not in self._compiled:
            matcher = self._llguidance.LLMatcher(self._tokenizer, self._llguidance.LLMatcher.grammar_from_lark(grammar))
            if matcher.is_error():
                raise UserError(f"grammar: expected a Lark grammar, found an error: {matcher.get_error()}")
            self._compiled[grammar] = matcher
            if len(self._compiled) > COMPILED:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(grammar)
        return Guide(self._llguidance, self._compiled[grammar].deep_copy(), self.words)

    def replay(self, grammar: str, tokens: Sequence[int]) -> np.ndarray:
        """Masks [T, W] that held when each token of a completion was drawn."""
        guide = self.start(grammar)
        masks_TW = np.empty((len(tokens), self.words), dtype=np.int32)
        for index, token in enumerate(tokens):
            masks_TW[index] = guide.mask()
            guide.take(token)
        return masks_TW


class Guide:
    """One row's place in its grammar."""

    def __init__(self, llguidance: Any, matcher: Any, words: int):
        self._fill, self._matcher = llguidance.numpy.fill_next_token_bitmask, matcher
        self._mask = np.zeros((1, words), dtype=np.int32)

    def mask(self) -> np.ndarray:
        """Packed mask [W] of the tokens that may come next."""
        self._fill(self._matcher, self._mask, 0)
        return self._mask[0]

    def take(self, token: int) -> None:
        """Go on by one token. Raises BackendError when the grammar forbids it."""
        if not self._matcher.consume_token(token):
            raise BackendError(f"grammar: token {token} is not allowed here ({self._matcher.get_error() or 'stopped'})")


def unpack_mask(masks_NW: Tensor, vocabulary: int) -> Tensor:
    """int32 masks → bool [N, V]; bit b of word w is token 32 w + b."""
    bits = (masks_NW[:, :, None] >> torch.arange(32, device=masks_NW.device, dtype=torch.int32)) & 1  # [N, W, 32]
    return bits.flatten(1)[:, :vocabulary].bool()  # [N, W·32] → [N, V]
