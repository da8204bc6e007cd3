"""A network without anything of qbench: torch's own modules, in float64."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from qbench.nn.activation import Activation
from qbench.nn.quant_layer import QuantLayer

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding)
"""torch's layers that a scheme can quantize."""


def plain_copy(network: nn.Module) -> nn.Module:
    """Return a float64 copy in evaluation mode, with torch's layers for quantizable ones and nn.ReLU in slots."""
    plain = copy.deepcopy(network)
    replaced: dict[nn.Module, nn.Module] = {}
    for module in list(plain.modules()):
        for name, child in module._modules.items():
            if isinstance(child, QuantLayer):
                module._modules[name] = replaced.setdefault(child, _plain_layer(child))
            elif isinstance(child, Activation):
                module._modules[name] = replaced.setdefault(child, nn.ReLU())
    return plain.double().eval()


_SETTINGS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.Linear: ("in_features", "out_features"),
    **dict.fromkeys(
        (nn.Conv1d, nn.Conv2d),
        ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode"),
    ),
    nn.Embedding: ("num_embeddings", "embedding_dim", "padding_idx", "max_norm", "norm_type", "scale_grad_by_freq"),
}


def _plain_layer(layer: nn.Module) -> nn.Module:
    """Return torch's layer with the settings and the parameters of a quantizable one."""
    kind = next(kind for kind in LAYERS if isinstance(layer, kind))
    plain: Any = kind(**{name: getattr(layer, name) for name in _SETTINGS[kind]})
    plain.weight = layer.weight
    if kind is not nn.Embedding:
        plain.bias = layer.bias
    return plain
