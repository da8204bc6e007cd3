"""The multiply-accumulates of a network, counted below its modules."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from qbench.conformance.recording import record
from qbench.nn.evaluation_mode import plain_execution
from qbench.nn.graph.products import counted_macs, mac_counter
from qbench.nn.quant_layer import QuantLayer
from quantizers import FLOAT32


def multiply_accumulates(network: nn.Module, plain: nn.Module, x: Tensor) -> tuple[int, int]:
    """Return those with a quantized operand, and all, of one example.

    All are half of what torch's counter of floating-point operations meets in the float64 network, where attention
    and recurrent layers are plain products. Those of a layer are its results times the length of their sums.

    Args:
        network: quantized.
        plain: the same in float64.
        x: one example, [1, ...].
    """
    layers = dict(network.named_modules())
    quantized = 0
    for call in record(network, x)[0]:
        layer: Any = layers[call.name]
        if isinstance(layer, QuantLayer) and not isinstance(layer, nn.Embedding) and _is_quantized(layer):
            quantized += call.result.numel() * (layer.weight.numel() // layer.weight.shape[0])
    with plain_execution(), mac_counter() as counter:
        plain(x.double() if x.is_floating_point() else x)
    return quantized, counted_macs(counter)


def _is_quantized(layer: QuantLayer) -> bool:
    return FLOAT32 not in (layer.weight_format, layer.input_format) or layer.weight_format != layer.input_format
