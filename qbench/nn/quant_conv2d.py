"""`nn.Conv2d` with quantizers."""

from __future__ import annotations

from torch import nn

from qbench.nn.quant_conv import QuantConv


class QuantConv2d(QuantConv, nn.Conv2d):
    """`nn.Conv2d` with a weight quantizer, an input quantizer and input dropout; see `QuantConv` and `QuantLayer`.

    x: float [B, C, H, W]. Result: float [B, out_channels, Ho, Wo].
    """

    kind = "conv2d"
