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
"""Rows of logits worked on at a time on a CPU.

In fp32 they take 3 MB for a vocabulary of 49,152, so they stay in the cache.
"""
SPAN = 256
"""Tokens of the first level of the inverse CDF."""
NUCLEUS = 1024
"""The nucleus is looked for among this many highest scores first.

Rows that need more are sorted whole.
"""


@dataclass(frozen=True)
class RowSampling:
    """How each of R rows is sampled."""

    temperature_R: Tensor
    """1 where greedy."""
    greedy_R: Tensor
    top_k_R: Tensor
    """0 is off."""
    top_p_R: Tensor
    """1 is off."""
    untruncated: bool
    """True when no row has top-k or top-p."""
    unscaled: bool
    """True when every temperature is 1."""

    @classmethod
    def of(cls, settings: Sequence[Sampling], device: torch.device) -> "RowSampling":
        temperature = [item.temperature if item.temperature > 0 else 1.0 for item in settings]
        cut = [(item.top_k, item.top_p) if item.temperature > 0 else (0, 1.0) for item in settings]
        return cls(
            temperature_R=torch.tensor(temperature, dtype=torch.float32, device=device),
            greedy_R=torch.tensor([item.temperature <= 0 for item in settings], device=device),
            top_k_R=torch.tensor([k for k, _ in cut], device=device),
            top_p_R=torch.tensor([p for _, p in cut], dtype=torch.float32, device=device),
            untruncated=all(k == 0 and p >= 1 for k, p in cut),
            unscaled=all(value == 1.0 for value in temperature),
        )

    def rows(self, index: Tensor) -> "RowSampling":
        """The same for the rows at `index`."""
        return RowSampling(
            temperature_R=self.temperature_R[index],
            greedy_R=self.greedy_R[index],
            top_k_R=self.top_k_R[index],
            top_p_R=self.top_p_R[index],
            untruncated=self.untruncated,
            unscaled=self.unscaled,
        )


def truncate(scores_RV: Tensor, sampling: RowSampling, forced_R: Tensor | None = None) -> Tensor:
    """Set scores outside each row's top-k / top-p set to -inf, in place.

    `forced_R` are token ids, one a row, that are kept in any case.
    """
    if sampling.untruncated:
        return scores_RV
    rows = torch.nonzero((sampling.top_k_R > 0) | (sampling.top_p_R < 1)).flatten()  # [n, 1] → [n]
    if not len(rows):  # a block of rows that do not truncate, in a batch of which others do
        return scores_RV
    part_nV = scores_RV[rows]
    drop_nV = part_nV < _floor(part_nV, sampling.top_k_R[rows], sampling.top_p_R[rows])[:, None]
    if forced_R is not None:
        drop_nV.scatter_(1, forced_R[rows, None], False)
    scores_RV[rows] = part_nV.masked_fill_(drop_nV, float("-inf"))
    return scores_RV


def _floor(scores_RV: Tensor, top_k_R: Tensor, top_p_R: Tensor) -> Tensor:
    """The lowest score that stays, per row [R]."""
    vocabulary = scores_RV.shape[1]
    width = min(vocabulary, max(NUCLEUS, int(top_k_R.max())))
    top_Rw = scores_RV.topk(width, dim=1).values
    k_R = torch.where(top_k_R > 0, top_k_R.clamp(max=vocabulary), vocabulary)
    kth_R = top_Rw.gather(1, (k_R.clamp(max=width) - 1)[:, None]).squeeze(1)  # [R, w] → [R, 1] → [R]
    k_floor_R = torch.where(k_R < vocabulary, kth_R, float("-inf"))
    total_R = scores_RV.masked_fill(scores_RV < k_floor_R[:, None], float("-inf")).logsumexp(1)
    floor_R, short_R = _nucleus(top_Rw, total_R, top_p_R)
    if bool(short_R.any()) and width < vocabulary:
        index = torch.nonzero(short_R).flatten()
        sorted_nV = scores_RV[index].sort(1, descending=True).values
        floor_R[index] = _nucleus(sorted_nV, total_R[index], top_p_R[index])[0]
    return torch.maximum(k_floor_R, torch.where(top_p_R < 1, floor_R, float("-inf")))


def _nucleus(top_Rw: Tensor, total_R: Tensor, top_p_R: Tensor) -> tuple[Tensor, Tensor]:
    """Score [R] of the first token at which the cumulative probability reaches top_p.

    Also whether that token [R] is not among the w highest scores given.
    """
    mass_Rw = (top_Rw - total_R[:, None]).exp().cumsum(1)
    reached_Rw = mass_Rw >= top_p_R[:, None]
    first_R = reached_Rw.to(torch.uint8).argmax(1)
    short_R = ~reached_Rw[:, -1] & (top_p_R < 1)
    first_R = torch.where(reached_Rw[:, -1], first_R, top_Rw.shape[1] - 1)
    return top_Rw.gather(1, first_R[:, None]).squeeze(1), short_R


def log_total(scores_RV: Tensor, probability_RV: Tensor) -> Tensor:
    """log Σ exp(scores) per row [R]: the best score less the log of its probability.

    Equal to logsumexp; softmax's exponential is several times faster on CPUs.
    """
    return scores_RV.amax(1) - probability_RV.amax(1).log()


def draw(
    logits_RV: Tensor, sampling: RowSampling, uniforms_R: Tensor, allowed_RV: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Draw one token per row with uniforms in [0, 1): tokens [R] and their log-probabilities [R].

    Inverse CDF in two levels (spans of 256, then inside the span) in double precision: one uniform a row and one pass
    over V. `allowed_RV` masks tokens (grammars); it acts before truncation. Greedy rows take the argmax.
    """
    if logits_RV.device.type != "cpu" or len(logits_RV) <= BLOCK:
        return _draw(logits_RV, sampling, uniforms_R, allowed_RV)
    parts = []
    for rows in torch.arange(len(logits_RV)).split(BLOCK):
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        allowed = None if allowed_RV is None else allowed_RV[part]
        parts.append(_draw(logits_RV[part], sampling.rows(rows), uniforms_R[part], allowed))
    return torch.cat([tokens for tokens, _ in parts]), torch.cat([logprobs for _, logprobs in parts])


def _draw(
    logits_RV: Tensor, sampling: RowSampling, uniforms_R: Tensor, allowed_RV: Tensor | None
) -> tuple[Tensor, Tensor]:
    """`draw` for a few rows. Below, `v` is V padded to whole spans, `n` the number of spans, `w` SPAN."""
    wide = torch.float32 if logits_RV.device.type == "mps" else torch.float64  # MPS has no double precision
    scores_RV = logits_RV.clone() if logits_RV.dtype == torch.float32 else logits_RV.float()
    if not sampling.unscaled:
        scores_RV /= sampling.temperature_R[:, None]
    if allowed_RV is not None:
        scores_RV.masked_fill_(~allowed_RV, float("-inf"))
    weights_Rv = truncate(scores_RV, sampling).softmax(1)
    if weights_Rv.shape[1] % SPAN:
        weights_Rv = F.pad(weights_Rv, (0, -weights_Rv.shape[1] % SPAN))
    weights_Rnw = weights_Rv.view(len(scores_RV), -1, SPAN)  # [R, n·w] → [R, n, w]
    spans_Rn = weights_Rnw.sum(2, dtype=torch.float32).to(wide)
    ends_Rn = spans_Rn.cumsum(1)
    target_R1 = torch.minimum(uniforms_R.to(ends_Rn)[:, None], ends_Rn.new_tensor(1 - 1e-12)) * ends_Rn[:, -1:]
    span_R1 = torch.searchsorted(ends_Rn, target_R1, right=True).clamp_(max=ends_Rn.shape[1] - 1)
    inside_Rw = (
        weights_Rnw.gather(1, span_R1[:, :, None].expand(-1, -1, SPAN)).squeeze(1).to(wide)
    )  # [R, 1, w] → [R, w]
    offset_R1 = target_R1 - (ends_Rn.gather(1, span_R1) - spans_Rn.gather(1, span_R1))
    place_R1 = torch.searchsorted(inside_Rw.cumsum(1), offset_R1, right=True)
    last_R1 = SPAN - 1 - (inside_Rw > 0).flip(1).to(torch.uint8).argmax(1, keepdim=True)
    tokens_R = (span_R1 * SPAN + torch.minimum(place_R1, last_R1)).squeeze(1)
    if bool(sampling.greedy_R.any()):
        tokens_R = torch.where(sampling.greedy_R, scores_RV.argmax(1), tokens_R)
    chosen_R = weights_Rv.gather(1, tokens_R[:, None]).squeeze(1).to(wide)
    return tokens_R, (chosen_R.log() - ends_Rn[:, -1].log()).float()
