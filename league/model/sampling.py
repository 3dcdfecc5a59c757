"""The distribution that is sampled from, and one way to draw from it with one uniform per row.

Scores are logits / temperature; temperature 0 means greedy and is scored at temperature 1. Truncation follows: top-k
first, then top-p on what is left (the order of transformers). Tokens that tie with the last one kept are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from league.types import Sampling

BLOCK = 16
"""Rows of logits worked on at a time on a CPU: 3 MB in fp32 for a vocabulary of 49,152, so that
they stay in the cache."""
SPAN = 256
"""Tokens of the first level of the inverse CDF."""
NUCLEUS = 1024
"""The nucleus is looked for among this many highest scores first; rows that need more are sorted
whole."""


@dataclass(frozen=True)
class Shape:
    """Per-row sampling parameters, each [rows]: temperature (1 where greedy), greedy, top_k (0
    off), top_p (1 off)."""

    temperature: Tensor
    greedy: Tensor
    top_k: Tensor
    top_p: Tensor
    plain: bool
    """True when no row truncates."""
    unit: bool
    """True when every temperature is 1."""

    @classmethod
    def of(cls, settings: Sequence[Sampling], device: torch.device) -> "Shape":
        temperature = [item.temperature if item.temperature > 0 else 1.0 for item in settings]
        cut = [(item.top_k, item.top_p) if item.temperature > 0 else (0, 1.0) for item in settings]
        return cls(
            torch.tensor(temperature, dtype=torch.float32, device=device),
            torch.tensor([item.temperature <= 0 for item in settings], device=device),
            torch.tensor([k for k, _ in cut], device=device),
            torch.tensor([p for _, p in cut], dtype=torch.float32, device=device),
            all(k == 0 and p >= 1 for k, p in cut),
            all(value == 1.0 for value in temperature),
        )

    def rows(self, index: Tensor) -> "Shape":
        return Shape(
            self.temperature[index], self.greedy[index], self.top_k[index], self.top_p[index], self.plain, self.unit
        )


def truncate(scores: Tensor, shape: Shape, forced: Tensor | None = None) -> Tensor:
    """Set scores [R, V] outside each row's top-k / top-p set to -inf, in place; `forced` [R] are
    token ids kept in any case."""
    if shape.plain:
        return scores
    rows = torch.nonzero((shape.top_k > 0) | (shape.top_p < 1)).flatten()
    if not len(rows):  # a block of rows that do not truncate, in a batch of which others do
        return scores
    part = scores[rows]
    floor = _floor(part, shape.top_k[rows], shape.top_p[rows])
    drop = part < floor[:, None]
    if forced is not None:
        drop.scatter_(1, forced[rows, None], False)
    scores[rows] = part.masked_fill_(drop, float("-inf"))
    return scores


def _floor(scores: Tensor, top_k: Tensor, top_p: Tensor) -> Tensor:
    """The lowest score that stays, per row [R]."""
    vocabulary = scores.shape[1]
    width = min(vocabulary, max(NUCLEUS, int(top_k.max())))
    top = scores.topk(width, dim=1).values
    k = torch.where(top_k > 0, top_k.clamp(max=vocabulary), vocabulary)
    k_floor = torch.where(k < vocabulary, top.gather(1, (k.clamp(max=width) - 1)[:, None]).squeeze(1), float("-inf"))
    total = scores.masked_fill(scores < k_floor[:, None], float("-inf")).logsumexp(1)
    floor, short = _nucleus(top, total, top_p)
    if bool(short.any()) and width < vocabulary:
        index = torch.nonzero(short).flatten()
        floor[index] = _nucleus(scores[index].sort(1, descending=True).values, total[index], top_p[index])[0]
    return torch.maximum(k_floor, torch.where(top_p < 1, floor, float("-inf")))


def _nucleus(top: Tensor, total: Tensor, top_p: Tensor) -> tuple[Tensor, Tensor]:
    """Score of the first token at which the cumulative probability reaches top_p, and whether it is
    not among `top`."""
    mass = (top - total[:, None]).exp().cumsum(1)
    reached = mass >= top_p[:, None]
    first = reached.to(torch.uint8).argmax(1)
    short = ~reached[:, -1] & (top_p < 1)
    first = torch.where(reached[:, -1], first, top.shape[1] - 1)
    return top.gather(1, first[:, None]).squeeze(1), short


def log_total(scores: Tensor, probability: Tensor) -> Tensor:
    """log Σ exp(scores) per row [R], from scores [R, V] and their softmax: the best score less the
    log of its probability.

    Equal to logsumexp; softmax's exponential is several times faster on CPUs.
    """
    return scores.amax(1) - probability.amax(1).log()


def draw(logits: Tensor, shape: Shape, uniforms: Tensor, allowed: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Draw one token per row of logits [R, V] with uniforms [R] in [0, 1); return tokens [R] and
    their log-probabilities [R].

    Inverse CDF in two levels (spans of 256, then inside the span) in double precision: one uniform a row and one pass
    over V. `allowed` [R, V] masks tokens (grammars); it acts before truncation. Greedy rows take the argmax.
    """
    if logits.device.type != "cpu" or len(logits) <= BLOCK:
        return _draw(logits, shape, uniforms, allowed)
    parts = []
    for rows in torch.arange(len(logits)).split(BLOCK):
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        parts.append(_draw(logits[part], shape.rows(rows), uniforms[part], None if allowed is None else allowed[part]))
    return torch.cat([tokens for tokens, _ in parts]), torch.cat([logprobs for _, logprobs in parts])


def _draw(logits: Tensor, shape: Shape, uniforms: Tensor, allowed: Tensor | None) -> tuple[Tensor, Tensor]:
    wide = torch.float32 if logits.device.type == "mps" else torch.float64  # MPS has no double precision
    scores = logits.clone() if logits.dtype == torch.float32 else logits.float()
    if not shape.unit:
        scores /= shape.temperature[:, None]
    if allowed is not None:
        scores.masked_fill_(~allowed, float("-inf"))
    weights = truncate(scores, shape).softmax(1)
    if weights.shape[1] % SPAN:
        weights = F.pad(weights, (0, -weights.shape[1] % SPAN))
    weights = weights.view(len(scores), -1, SPAN)
    blocks = weights.sum(2, dtype=torch.float32).to(wide)
    ends = blocks.cumsum(1)
    target = torch.minimum(uniforms.to(ends)[:, None], ends.new_tensor(1 - 1e-12)) * ends[:, -1:]
    block = torch.searchsorted(ends, target, right=True).clamp_(max=ends.shape[1] - 1)
    inside = weights.gather(1, block[:, :, None].expand(-1, -1, SPAN)).squeeze(1).to(wide)
    inner = inside.cumsum(1)
    offset = target - (ends.gather(1, block) - blocks.gather(1, block))
    place = torch.searchsorted(inner, offset, right=True)
    last = SPAN - 1 - (inside > 0).flip(1).to(torch.uint8).argmax(1, keepdim=True)
    tokens = (block * SPAN + torch.minimum(place, last)).squeeze(1)
    if bool(shape.greedy.any()):
        tokens = torch.where(shape.greedy, scores.argmax(1), tokens)
    chosen = weights.flatten(1).gather(1, tokens[:, None]).squeeze(1).to(wide)
    return tokens, (chosen.log() - ends[:, -1].log()).float()
