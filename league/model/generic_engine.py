"""Decoding and hidden states through an unmodified Hugging Face forward: the path that serves any
causal LM.

Prompts are left-padded and prefilled once each; the cache is then copied per sample. Positions are given explicitly,
so padding changes nothing but cost.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from league.model.bank import AdapterBank
from league.model.lora import GradientSink, Mix, Router
from league.types import Version


@dataclass(frozen=True)
class Prompt:
    """A prompt to prefill once and continue `copies` times."""

    version: Version | None
    tokens: tuple[int, ...]
    copies: int


Row = tuple[tuple[int, ...], tuple[int, ...]]
"""(prompt, completion) token ids."""


@dataclass(frozen=True)
class Micro:
    """Rows computed together, by index."""

    order: tuple[int, ...]


@dataclass
class Pass:
    """Hidden states [tokens, h] at loss positions; `backward` takes their gradient and fills the
    sink."""

    hidden: Tensor
    backward: Callable[[Tensor], None]


class GenericEngine:
    """Runs the base's own forward with adapters routed per row."""

    name = "generic"

    def __init__(self, bank: AdapterBank):
        self.bank, self.base = bank, bank.base
        self.router = Router(self.base)

    def open(self, prompts: Sequence[Prompt], reserve: int) -> "GenericSession":
        """Prefill; `reserve` is the most tokens that will follow."""
        return GenericSession(self, prompts)

    def forget(self) -> None:
        """Nothing is kept between calls."""

    def remembering(self, limit: int) -> AbstractContextManager[None]:
        """Nothing is kept between sessions."""
        return nullcontext()

    def plan(self, rows: Sequence[Row], versions: Sequence[Version], budget: int) -> list["Micro"]:
        """Micro-batches of at most `budget` padded tokens (a longer single row is its own); sorted
        by version, then length."""
        order = sorted(range(len(rows)), key=lambda i: (versions[i], -len(rows[i][0]) - len(rows[i][1]), i))
        plans: list[list[int]] = []
        longest = 0
        for index in order:
            length = len(rows[index][0]) + len(rows[index][1])
            if plans and (len(plans[-1]) + 1) * max(longest, length) <= budget:
                plans[-1].append(index)
                longest = max(longest, length)
            else:
                plans.append([index])
                longest = length
        return [Micro(tuple(plan)) for plan in plans]

    def run(
        self, rows: Sequence[Row], versions: Sequence[Version | None], sink: GradientSink | None, checkpointing: bool
    ) -> Pass:
        """Last hidden states that predict the completions' tokens, flat [tokens, h], row by row;
        `sink` None means no backward.

        Rows are padded on the right; causal attention keeps the pads out of everything before them.
        """
        base = self.base
        whole = [prompt + completion for prompt, completion in rows]
        longest = max(map(len, whole))
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        pick = torch.zeros(len(rows), longest, dtype=torch.bool)
        for index, (row, (prompt, _)) in enumerate(zip(whole, rows, strict=True)):
            ids[index, : len(row)] = torch.tensor(row)
            pick[index, len(prompt) - 1 : len(row) - 1] = True
        positions = torch.arange(longest, device=base.device).expand(len(rows), -1)
        mix = Mix(self.bank, versions, sink)
        with (
            torch.set_grad_enabled(sink is not None),
            self.router.using(mix),
            _checkpointed(base.model, self.router, mix, checkpointing),
        ):
            embedded = base.model.get_input_embeddings()(ids.to(base.device)).detach().requires_grad_(sink is not None)
            out = base.model.base_model(inputs_embeds=embedded, position_ids=positions, use_cache=False)
            hidden = out.last_hidden_state[pick.to(base.device)]
        return Pass(hidden.detach(), lambda grad: hidden.backward(grad))


@contextmanager
def _checkpointed(model: PreTrainedModel, router: Router, mix: Mix, on: bool) -> Iterator[None]:
    """Recompute layers in the backward pass, with the same mix. Only the layers' own flag is set:
    dropout stays off."""
    if not on:
        yield
        return
    model.gradient_checkpointing_enable(
        {"use_reentrant": False, "context_fn": lambda: (nullcontext(), router.using(mix))}
    )
    layers = [module for module in model.modules() if getattr(module, "gradient_checkpointing", False)]
    for module in layers:
        module.training = True
    try:
        yield
    finally:
        for module in layers:
            module.training = False
        model.gradient_checkpointing_disable()


class GenericSession:
    """Rows being decoded. `logits` [rows, V] are those of the next token."""

    reused = 0

    def __init__(self, engine: GenericEngine, prompts: Sequence[Prompt]):
        self.engine = engine
        base = engine.base
        longest = max(len(prompt.tokens) for prompt in prompts)
        ids = torch.zeros(len(prompts), longest, dtype=torch.long)
        mask = torch.zeros(len(prompts), longest, dtype=torch.long)
        for index, prompt in enumerate(prompts):
            ids[index, longest - len(prompt.tokens) :] = torch.tensor(prompt.tokens)
            mask[index, longest - len(prompt.tokens) :] = 1
        self.cache = DynamicCache(config=base.model.config)
        self.versions = [prompt.version for prompt in prompts]
        self.mask = mask.to(base.device)
        self.positions = self.mask.sum(1)
        self._mix()
        self.logits = self._forward(ids.to(base.device), (self.mask.cumsum(1) - 1).clamp_(min=0))
        rows = torch.arange(len(prompts)).repeat_interleave(torch.tensor([prompt.copies for prompt in prompts]))
        self.keep(rows.to(base.device))

    def _mix(self) -> None:
        self.mix = Mix(self.engine.bank, self.versions)

    def _forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        with torch.no_grad(), self.engine.router.using(self.mix):
            out = self.engine.base.model(
                input_ids=ids,
                attention_mask=self.mask,
                position_ids=positions,
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            )
        return out.logits[:, -1]

    def keep(self, index: Tensor) -> None:
        """Keep (or repeat) the rows at `index`, in this order."""
        self.cache.batch_select_indices(index)
        self.mask, self.positions, self.logits = self.mask[index], self.positions[index], self.logits[index]
        self.versions = [self.versions[row] for row in index.tolist()]
        self._mix()

    def remember(self, rows: Iterable[int]) -> None:
        """Nothing is kept between sessions."""

    def step(self, tokens: Tensor) -> None:
        """Append one token [rows] to every row and compute the next logits."""
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], 1)
        self.logits = self._forward(tokens[:, None], self.positions[:, None])
        self.positions = self.positions + 1
