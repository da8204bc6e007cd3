"""Float arithmetic on dequantized values."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from qbench.nn.im2col import pad_image
from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_op.base import Packed, QuantOp
from quantizers import NumberFormat, Quantized


class FloatOp(QuantOp):
    """Float arithmetic on dequantized values: serves every pair of formats, runs nothing packed."""

    name = "float"
    packs = False

    def supports(self, weight: NumberFormat, activation: NumberFormat, layer_shape: LayerShape) -> tuple[bool, str]:
        return True, ""

    def pack(self, weight: Quantized) -> Packed:
        values = weight.dequantize()
        return Packed(values, values.new_ones(()), values.shape)

    def linear(self, x: Quantized, packed: Packed) -> Tensor:
        return F.linear(x.dequantize(), packed.data)

    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        values, padding = x.dequantize(), window.padding
        if window.pad_value:
            values, padding = pad_image(values, padding, window.pad_value), (0, 0)
        return F.conv2d(values, packed.data, None, window.stride, padding, window.dilation, window.groups)

    def cost(self, layer_shape: LayerShape) -> Operations:
        """One multiplication and one addition a MAC."""
        return Operations(fp32_mul=layer_shape.macs, fp32_add=layer_shape.macs)
