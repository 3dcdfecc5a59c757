"""The layers that can take an adapter.

They are torch's Linear, and GPT-2's Conv1D, which stores its weight the other way round.
"""

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

LinearLayer = nn.Linear | Conv1D


def linear_layers(model: nn.Module) -> dict[str, LinearLayer]:
    """Path → layer, in the model's own order."""
    return {path: module for path, module in model.named_modules() if isinstance(module, LinearLayer)}


def layer_shape(layer: LinearLayer) -> tuple[int, int]:
    """(outputs, inputs)."""
    if isinstance(layer, Conv1D):
        inputs, outputs = layer.weight.shape
        return outputs, inputs
    return layer.out_features, layer.in_features


def weight_view(layer: LinearLayer) -> Tensor:
    """The weight as [O, I], a view."""
    return layer.weight.T if isinstance(layer, Conv1D) else layer.weight
