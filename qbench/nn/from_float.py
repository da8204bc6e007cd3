"""From torch's layers to quantizable ones."""

from __future__ import annotations

from torch import nn

from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_linear import QuantLinear

# The settings of a layer: arguments of its constructor that it keeps as attributes of the same names.
_LINEAR = ("in_features", "out_features")
_CONV2D = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode")


def from_float(layer: nn.Linear | nn.Conv2d) -> QuantLinear | QuantConv2d:
    """Return the quantizable layer with the same settings and the same parameters (shared, not copied).

    Raises:
        ValueError: a convolution that `QuantConv2d` refuses.
    """
    quantizable, settings = (QuantLinear, _LINEAR) if isinstance(layer, nn.Linear) else (QuantConv2d, _CONV2D)
    new = quantizable(**{name: getattr(layer, name) for name in settings}, bias=layer.bias is not None, device="meta")
    new.weight = layer.weight
    new.bias = layer.bias
    return new.train(layer.training)
