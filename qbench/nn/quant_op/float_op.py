"""Float arithmetic on dequantized values."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from qbench.nn.im2col import pad_image
from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_op.base import QuantOp
from qbench.nn.quant_op.epilogue import Epilogue
from qbench.nn.quant_op.op_cost import OpCost
from qbench.nn.quant_op.packed import Packed
from quantizers import BINARY, TERNARY, NumberFormat, Quantized


class FloatOp(QuantOp):
    """Float arithmetic on dequantized values: serves every pair of formats, runs nothing packed.

    What it costs of a quantized weight is memory: the codes are read at their width, and each product is counted as one
    of float32. One scale a channel multiplies the sums. With scales of groups every weight is multiplied by its own,
    once an inference, before the products; values of a table are looked up, which counts as no operation.
    """

    name = "float"
    packs = False

    def supports(self, weight: NumberFormat, activation: NumberFormat, layer_shape: LayerShape) -> tuple[bool, str]:
        """Return that the op serves everything."""
        return True, ""

    def pack(self, weight: Quantized) -> Packed:
        """Return the weight's real values, with scale 1 (shape []); of a binary or ternary weight its codes.

        The sums of codes are scaled, [N] or [1], as in the layers that this op replays: see
        `Quantizer.codes_and_scale`.
        """
        if weight.format in (BINARY, TERNARY):
            codes = weight.codes.to(weight.scale.dtype)
            return Packed(codes, weight.scale.reshape(-1), codes.shape)
        values = weight.dequantize()
        return Packed(values, values.new_ones(()), values.shape)

    def linear(self, x: Quantized, packed: Packed) -> Tensor:
        """Return `x [..., K] · weightᵀ` as torch computes it, float32 [..., N]."""
        return _scaled(F.linear(x.dequantize(), packed.data), packed, 0)

    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        """Return the cross-correlation of `x [B, C, H, W]` as torch computes it, float32 [B, N, Ho, Wo]."""
        values, padding = x.dequantize(), window.padding
        if window.pad_value or any(window.extra):
            values, padding = pad_image(values, window, window.pad_value), (0, 0)
        sums = F.conv2d(values, packed.data, None, window.stride, padding, window.dilation, window.groups)
        return _scaled(sums, packed, 2)

    def embedding(self, indices: Tensor, packed: Packed) -> Tensor:
        """Return the rows of a table at `indices [...]`, float32 [..., K]."""
        return F.embedding(indices, _scaled(packed.data, packed, 1))

    def operations(self, layer_shape: LayerShape) -> Operations:
        """Count one multiplication and one addition a MAC."""
        return Operations(fp32_mul=layer_shape.macs, fp32_add=layer_shape.macs)

    def weight_scale_cost(self, layer_shape: LayerShape, epilogue: Epilogue) -> OpCost:
        """Count one multiplication an output value, unless a BatchNorm takes the scale in; for ±1, a threshold.

        Of scales of groups, one a weight.
        """
        if epilogue.weight_format.group_size is not None:
            return OpCost(Operations(fp32_mul=layer_shape.weights), scale_bytes=epilogue.weight_scale_bytes)
        if epilogue.weight_format == BINARY:
            return epilogue.sign_scale_cost(layer_shape)
        multiplies = epilogue.weight_scale_bytes and not epilogue.norms
        multiplications = Operations(fp32_mul=layer_shape.outputs) if multiplies else Operations()
        return OpCost(multiplications, scale_bytes=epilogue.weight_scale_bytes)


def _scaled(sums: Tensor, packed: Packed, trailing: int) -> Tensor:
    """Return `sums · scale`, the channels in front of `trailing` dimensions; float32 weights are not multiplied."""
    return sums if packed.scale.dim() == 0 else sums * packed.scale.reshape(-1, *[1] * trailing)
