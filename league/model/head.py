"""From hidden states to logits, as the model itself does it, and back.

    z = scale · (h Wᵀ + b)        y = cap · tanh(z / cap), or z without a cap

Gemma 2 caps its logits, Phi and GPT-J have a bias, Cohere and Granite scale. A family that does something else is found
by `league.model.proof`, which compares with the model's own logits before anything is trained.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from league.errors import ModelUnavailable


@dataclass(frozen=True)
class OutputHead:
    """The output embedding with what a family adds to it."""

    weight_VH: Tensor
    bias_V: Tensor | None = None
    scale: float = 1.0
    cap: float | None = None

    @property
    def plain(self) -> bool:
        """Whether a product with the weight (and the bias) is all."""
        return self.scale == 1.0 and self.cap is None

    def logits(self, hidden_NH: Tensor) -> Tensor:
        """y [N, V]."""
        logits_NV = F.linear(hidden_NH, self.weight_VH, self.bias_V)
        if self.scale != 1.0:
            logits_NV = logits_NV * self.scale
        return logits_NV if self.cap is None else (logits_NV / self.cap).tanh() * self.cap

    def slope(self, logits_NV: Tensor) -> Tensor | None:
        """dy/d(h Wᵀ) [N, V] at logits y: scale · (1 − (y / cap)²); None where it is 1 everywhere."""
        if self.plain:
            return None
        if self.cap is None:
            return logits_NV.new_full((1, 1), self.scale)
        return (1 - (logits_NV / self.cap).square()) * self.scale

    def at_hidden(self, grad_NV: Tensor, slope_NV: Tensor | None) -> Tensor:
        """Gradient at h [N, H] of one at y; `slope_NV` is that of `slope`."""
        return (grad_NV if slope_NV is None else grad_NV * slope_NV) @ self.weight_VH


def read_head(model: PreTrainedModel) -> OutputHead:
    """The head of a causal LM. Raises ModelUnavailable where it has none."""
    layer = model.get_output_embeddings()
    if layer is None:
        raise ModelUnavailable(
            f"model type {model.config.model_type!r} has no output embedding of its own; choose another model"
        )
    text: Any = model.config.get_text_config(decoder=True)
    scale = float(getattr(text, "logit_scale", None) or 1.0) / float(getattr(text, "logits_scaling", None) or 1.0)
    return OutputHead(
        layer.weight,
        getattr(layer, "bias", None),
        scale,
        getattr(text, "final_logit_softcapping", None) or None,
    )
