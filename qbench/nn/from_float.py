"""From torch's layers to quantizable ones."""

from __future__ import annotations

from torch import nn

from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_linear import QuantLinear


def from_float(layer: nn.Linear | nn.Conv2d) -> QuantLinear | QuantConv2d:
    """The quantizable layer with the same parameters (shared, not copied)."""
    new: QuantLinear | QuantConv2d
    if isinstance(layer, nn.Linear):
        new = QuantLinear(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
    else:
        new = QuantConv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            layer.stride,
            layer.padding,
            layer.dilation,
            layer.groups,
            layer.bias is not None,
            layer.padding_mode,
            device="meta",
        )
    new.weight = layer.weight
    new.bias = layer.bias
    return new.train(layer.training)
