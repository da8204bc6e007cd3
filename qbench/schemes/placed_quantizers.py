"""The quantizers of a network's layers, with their places."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from qbench.nn.quant_layer import QuantLayer, quant_layers
from qbench.schemes.quantization import Role
from quantizers import Quantizer


def placed_quantizers(network: nn.Module) -> Iterator[tuple[str, QuantLayer, Role, Quantizer]]:
    """Yield each quantizer with its layer's name, its layer, and its role."""
    for name, layer in quant_layers(network):
        roles: tuple[tuple[Role, Quantizer | None], ...] = (
            ("weights", layer.weight_quantizer),
            ("activations", layer.input_quantizer),
        )
        yield from ((name, layer, role, quantizer) for role, quantizer in roles if quantizer is not None)
