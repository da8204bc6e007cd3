"""`nn.Conv1d` with quantizers."""

from __future__ import annotations

from torch import nn

from qbench.nn.quant_conv import QuantConv


class QuantConv1d(QuantConv, nn.Conv1d):
    """`nn.Conv1d` with a weight quantizer, an input quantizer and input dropout; see `QuantConv` and `QuantLayer`.

    x: float [B, C, L]. Result: float [B, out_channels, Lo].
    """

    kind = "conv1d"
