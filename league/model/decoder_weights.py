"""Weights of a Llama-shaped decoder, fused per projection.

Supported are Llama, Mistral, Qwen2, Qwen3 and Gemma3 (text). The Hugging Face modules are made to share the fused
tensors' memory, so fusing costs none. On CPUs in bf16 a second copy is kept in oneDNN's blocked order, which is what
makes products with few rows fast; see `Linear`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from league.model.base import BaseModel

QKV, OUT, GATE_UP, DOWN = range(4)
GROUPS = (QKV, OUT, GATE_UP, DOWN)
NAMES = {
    QKV: ("self_attn", ("q_proj", "k_proj", "v_proj")),
    OUT: ("self_attn", ("o_proj",)),
    GATE_UP: ("mlp", ("gate_proj", "up_proj")),
    DOWN: ("mlp", ("down_proj",)),
}
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma3_text")
PACKED_ROWS = 1024
_pack: Callable[..., Tensor] | None = getattr(torch.ops.mkldnn, "_reorder_linear_weight", None)


class Linear:
    """A frozen weight with an optional bias, and a packed copy for products of at most PACKED_ROWS rows."""

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None, packed: bool):
        self.weight_OI, self.bias_O = weight_OI, bias_O
        self.packed = _pack(weight_OI.contiguous(), 64) if packed and _pack is not None else None

    def __call__(self, x_NI: Tensor) -> Tensor:
        """x [N, I] → [N, O]."""
        if self.packed is not None and len(x_NI) <= PACKED_ROWS:
            return torch.ops.mkldnn._linear_pointwise(x_NI, self.packed, self.bias_O, "none", [], "")
        return F.linear(x_NI, self.weight_OI, self.bias_O)


@dataclass
class Layer:
    """One decoder layer. Norms may be None where the family has none."""

    linears: list[Linear]
    """By projection: QKV, OUT, GATE_UP, DOWN."""
    paths: list[tuple[str, ...]]
    """By projection, the names of the linears fused in it."""
    outs: list[tuple[int, ...]]
    """By projection, the outputs of each of its linears."""
    ins: list[int]
    """By projection, its inputs."""
    norm_attention_H: Tensor
    norm_mlp_H: Tensor
    norm_after_attention_H: Tensor | None
    norm_after_mlp_H: Tensor | None
    norm_q_D: Tensor | None
    norm_k_D: Tensor | None
    kind: str
    window: int | None


@dataclass
class Decoder:
    """A whole decoder: what the fused engine needs and nothing else."""

    layers: list[Layer]
    embedding_VH: Tensor
    embedding_scale: float
    norm_H: Tensor
    head: Linear
    rotary: Any
    heads: int
    kv_heads: int
    head_size: int
    scaling: float
    eps: float
    activation: str
    kinds: bool
    """True where the rotary embedding differs by layer kind (Gemma3)."""
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def read(cls, base: BaseModel) -> "Decoder":
        """Fuse the weights of a supported base. Raises Unsupported, saying why, for any other."""
        config: Any = base.model.config
        family = config.model_type
        if family not in FAMILIES:
            raise Unsupported(f"model type {family!r} is not one of {', '.join(FAMILIES)}")
        activation = getattr(config, "hidden_act", None) or getattr(config, "hidden_activation", None)
        if activation not in ("silu", "gelu_pytorch_tanh"):
            raise Unsupported(f"activation {activation!r}")
        if not base.head.plain:
            raise Unsupported("it scales or caps its logits")
        gemma = family == "gemma3_text"
        body: Any = base.model.base_model
        packed = base.device.type == "cpu" and base.dtype == torch.bfloat16
        kinds = getattr(config, "layer_types", None) or ["full_attention"] * len(body.layers)
        windowed = [kind == "sliding_attention" for kind in kinds]
        if family == "mistral" and getattr(config, "sliding_window", None):
            windowed = [True] * len(body.layers)
        head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        layers = [
            _layer(
                module,
                f"model.layers.{i}",
                gemma=gemma,
                packed=packed,
                kind=kinds[i],
                window=config.sliding_window if windowed[i] else None,
            )
            for i, module in enumerate(body.layers)
        ]
        return cls(
            layers=layers,
            embedding_VH=body.embed_tokens.weight,
            embedding_scale=config.hidden_size**0.5 if gemma else 1.0,
            norm_H=_norm(body.norm.weight, gemma),
            head=Linear(base.head_VH, getattr(base.model.get_output_embeddings(), "bias", None), packed),
            rotary=body.rotary_emb,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            head_size=head_size,
            scaling=(config.query_pre_attn_scalar if gemma else head_size) ** -0.5,
            eps=config.rms_norm_eps,
            activation=activation,
            kinds=gemma,
            dtype=base.dtype,
            device=base.device,
        )

    @cached_property
    def windows(self) -> list[int | None]:
        """The distinct sliding windows of the layers; None is no window."""
        return sorted({layer.window for layer in self.layers}, key=lambda window: window or 0)

    @cached_property
    def layer_kinds(self) -> list[str]:
        """The distinct kinds of the layers."""
        return sorted({layer.kind for layer in self.layers})

    def cos_sin(self, positions_N: Tensor, kind: str) -> tuple[Tensor, Tensor]:
        """Rotary tables for positions, each [N, 1, D]."""
        extra = (kind,) if self.kinds else ()
        cos_1ND, sin_1ND = self.rotary(self.embedding_VH[:1, None], positions_N[None], *extra)
        return cos_1ND[0].unsqueeze(1).to(self.dtype), sin_1ND[0].unsqueeze(1).to(self.dtype)  # [N, D] → [N, 1, D]

    def embed(self, tokens_N: Tensor) -> Tensor:
        """Input embeddings [N, H]."""
        x_NH = F.embedding(tokens_N, self.embedding_VH)
        if self.embedding_scale == 1:
            return x_NH
        return x_NH * torch.tensor(self.embedding_scale, dtype=self.dtype, device=self.device)


class Unsupported(Exception):
    """The fused engine does not know this architecture; the generic one serves it."""


def _norm(weight: Tensor, gemma: bool) -> Tensor:
    """Gemma scales by 1 + weight; fp32 keeps the sum exact."""
    return (1 + weight.float()).detach() if gemma else weight.detach()


def _layer(module: Any, path: str, *, gemma: bool, packed: bool, kind: str, window: int | None) -> Layer:
    linears, paths, outs, ins = [], [], [], []
    for group in GROUPS:
        parent_name, names = NAMES[group]
        parent = getattr(module, parent_name)
        parts: list[nn.Linear] = [getattr(parent, name) for name in names]
        linears.append(_fuse(parts, packed))
        paths.append(tuple(f"{path}.{parent_name}.{name}" for name in names))
        outs.append(tuple(part.out_features for part in parts))
        ins.append(parts[0].in_features)
    attention = module.self_attn
    norm_q, norm_k = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
    mlp_norm = module.pre_feedforward_layernorm if gemma else module.post_attention_layernorm
    return Layer(
        linears=linears,
        paths=paths,
        outs=outs,
        ins=ins,
        norm_attention_H=_norm(module.input_layernorm.weight, gemma),
        norm_mlp_H=_norm(mlp_norm.weight, gemma),
        norm_after_attention_H=_norm(module.post_attention_layernorm.weight, gemma) if gemma else None,
        norm_after_mlp_H=_norm(module.post_feedforward_layernorm.weight, gemma) if gemma else None,
        norm_q_D=_norm(norm_q.weight, gemma) if norm_q is not None else None,
        norm_k_D=_norm(norm_k.weight, gemma) if norm_k is not None else None,
        kind=kind,
        window=window,
    )


def _fuse(parts: list[nn.Linear], packed: bool) -> Linear:
    """One weight for several linears over the same input; the modules become views of it."""
    if len(parts) == 1:
        only = parts[0]
        return Linear(only.weight.detach(), None if only.bias is None else only.bias.detach(), packed)
    weight_OI: Tensor = torch.cat([part.weight.detach() for part in parts])
    bias_O = torch.cat([part.bias.detach() for part in parts]) if parts[0].bias is not None else None
    row = 0
    for part in parts:
        part.weight.data = weight_OI.narrow(0, row, part.out_features)
        if bias_O is not None:
            part.bias.data = bias_O[row : row + part.out_features]
        row += part.out_features
    return Linear(weight_OI, bias_O, packed)
