"""A network without anything of qbench: torch's own modules, in float64."""

from __future__ import annotations

import copy

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


def _plain_layer(layer: nn.Module) -> nn.Module:
    kind = next(kind for kind in LAYERS if isinstance(layer, kind))
    plain = kind.__new__(kind)
    nn.Module.__init__(plain)
    known = vars(kind(*([1] * (3 if kind in (nn.Conv1d, nn.Conv2d) else 2))))
    plain.__dict__.update({key: value for key, value in vars(layer).items() if key in known and key[0] != "_"})
    for key in ("weight", "bias"):
        plain.register_parameter(key, getattr(layer, key, None))
    if hasattr(layer, "_reversed_padding_repeated_twice"):
        plain._reversed_padding_repeated_twice = layer._reversed_padding_repeated_twice
    return plain
