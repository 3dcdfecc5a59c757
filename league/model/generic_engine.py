"""The engine that serves any causal LM, through an unmodified Hugging Face forward.

Prompts are left-padded and prefilled once each; the cache is then copied per sample. Positions are given explicitly,
so padding changes nothing but cost.
"""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from league.model.bank import AdapterBank
from league.model.engine import Engine, GradientSink, MicroBatch, Pass, Prompt, Row, Session
from league.model.lora import Mix, Router
from league.types import Version


class GenericEngine(Engine):
    """Engine over the base's own forward, with adapters routed per row."""

    def __init__(self, bank: AdapterBank):
        self.bank, self.base = bank, bank.base
        self.router = Router(self.base)

    def open(self, prompts: Sequence[Prompt], reserve: int) -> "GenericSession":
        return GenericSession(self.bank, self.router, prompts)

    def forget(self) -> None:
        """Nothing is kept between calls."""

    def prefix_caching(self, limit: int) -> AbstractContextManager[None]:
        """Nothing is kept between sessions."""
        return nullcontext()

    def plan(self, rows: Sequence[Row], versions: Sequence[Version], budget: int) -> list[MicroBatch]:
        """Micro-batches of at most `budget` padded tokens, sorted by version, then length."""
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
        return [MicroBatch(tuple(plan)) for plan in plans]

    def run(
        self, rows: Sequence[Row], versions: Sequence[Version | None], sink: GradientSink | None, checkpointing: bool
    ) -> Pass:
        """Hidden states that predict the completions' tokens, row by row.

        Rows are padded on the right; causal attention keeps the pads out of everything before them.
        """
        base = self.base
        whole = [prompt + completion for prompt, completion in rows]
        longest = max(map(len, whole))
        ids_RT = torch.zeros(len(rows), longest, dtype=torch.long)
        pick_RT = torch.zeros(len(rows), longest, dtype=torch.bool)
        for index, (row, (prompt, _)) in enumerate(zip(whole, rows, strict=True)):
            ids_RT[index, : len(row)] = torch.tensor(row)
            pick_RT[index, len(prompt) - 1 : len(row) - 1] = True
        positions_RT = torch.arange(longest, device=base.device).expand(len(rows), -1)
        mix = Mix(self.bank, versions, sink)
        with (
            torch.set_grad_enabled(sink is not None),
            self.router.using(mix),
            _checkpointed(base.model, self.router, mix, checkpointing),
        ):
            embedded_RTH = base.model.get_input_embeddings()(ids_RT.to(base.device)).detach()
            embedded_RTH.requires_grad_(sink is not None)
            at = {"position_ids": positions_RT} if takes_positions(base.model) else {}
            out = base.model.base_model(inputs_embeds=embedded_RTH, use_cache=False, **at)
            hidden_NH = out.last_hidden_state[pick_RT.to(base.device)]  # [R, T, H] → [N, H]
        return Pass(hidden_NH.detach(), lambda grad_NH: hidden_NH.backward(grad_NH))


def takes_positions(model: PreTrainedModel) -> bool:
    """Whether the model is told positions; those without (ALiBi) count them from the attention mask."""
    return "position_ids" in inspect.signature(model.forward).parameters


@contextmanager
def _checkpointed(model: PreTrainedModel, router: Router, mix: Mix, on: bool) -> Iterator[None]:
    """Recompute layers in the backward pass, with the same mix.

    Only the layers' own flag is set: dropout stays off.
    """
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


class GenericSession(Session):
    """A session that keeps the whole cache of the Hugging Face forward, one copy a row."""

    def __init__(self, bank: AdapterBank, router: Router, prompts: Sequence[Prompt]):
        self.bank, self.base, self.router = bank, bank.base, router
        self.reused = 0
        longest = max(len(prompt.tokens) for prompt in prompts)
        ids_BT = torch.zeros(len(prompts), longest, dtype=torch.long)
        mask_BT = torch.zeros(len(prompts), longest, dtype=torch.long)
        for index, prompt in enumerate(prompts):
            ids_BT[index, longest - len(prompt.tokens) :] = torch.tensor(prompt.tokens)
            mask_BT[index, longest - len(prompt.tokens) :] = 1
        self.cache = DynamicCache(config=self.base.model.config)
        self.versions = [prompt.version for prompt in prompts]
        self.mask_RT = mask_BT.to(self.base.device)
        self.positions_R = self.mask_RT.sum(1)
        self._mix()
        self.logits_RV = self._forward(ids_BT.to(self.base.device), (self.mask_RT.cumsum(1) - 1).clamp_(min=0))
        rows_R = torch.arange(len(prompts)).repeat_interleave(torch.tensor([prompt.copies for prompt in prompts]))
        self.keep(rows_R.to(self.base.device))  # until here a row is a prompt

    def _mix(self) -> None:
        self.mix = Mix(self.bank, self.versions)

    def _forward(self, ids_RT: Tensor, positions_RT: Tensor) -> Tensor:
        """Logits of the next token [R, V]."""
        at = {"position_ids": positions_RT} if takes_positions(self.base.model) else {}
        with torch.no_grad(), self.router.using(self.mix):
            out = self.base.model(
                input_ids=ids_RT,
                attention_mask=self.mask_RT,
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
                **at,
            )
        return out.logits[:, -1]  # [R, 1, V] → [R, V]

    def keep(self, index: Tensor) -> None:
        self.cache.batch_select_indices(index)
        self.mask_RT, self.positions_R, self.logits_RV = (
            self.mask_RT[index],
            self.positions_R[index],
            self.logits_RV[index],
        )
        self.versions = [self.versions[row] for row in index.tolist()]
        self._mix()

    def cache_prefixes(self, rows: Iterable[int]) -> None:
        """Nothing is kept between sessions."""

    def step(self, tokens_R: Tensor) -> None:
        self.mask_RT = torch.cat([self.mask_RT, self.mask_RT.new_ones(len(tokens_R), 1)], 1)
        self.logits_RV = self._forward(tokens_R[:, None], self.positions_R[:, None])  # [R] → [R, 1]
        self.positions_R = self.positions_R + 1
