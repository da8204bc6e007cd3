"""Integers of at most 8 bits."""

from __future__ import annotations

import torch
from torch import Tensor

import cuda_ext
from qbench.nn.im2col import im2col
from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_op.base import Packed
from qbench.nn.quant_op.ungrouped import UngroupedOp
from quantizers import NumberFormat, Quantized

# The largest K whose int8 products' sum is exact in int32 on every backend.
_INT8_MAX_K = (2**31 - 1) // (128 * 128)


class Int8Op(UngroupedOp):
    """int8 × int8 -> int32, then scaled: integers of 2 to 8 bits, signed or unsigned, with zero points.

    An unsigned code is read as `code - 128`, and its zero point likewise, which changes no value. Zero points are
    taken out of the products of whole rows:

        Σ (x - Z_x)(w - Z_w) = Σ x·w - Z_x·Σ w - Z_w·Σ x + K·Z_x·Z_w

    Source: Jacob et al. (CVPR 2018) section 2.3, eq. 7.
    """

    name = "int8"
    max_k = _INT8_MAX_K

    def supports(self, weight: NumberFormat, activation: NumberFormat, layer_shape: LayerShape) -> tuple[bool, str]:
        for role, format in (("activations", activation), ("weights", weight)):
            if format.kind != "integer" or format.bits > 8:
                return False, f"needs integer {role} of at most 8 bits, got {format}"
        # Of unsigned formats, a code and its zero point differ by up to 255.
        largest = [max(f.maximum, -f.minimum) if f.minimum < 0 else f.maximum for f in (weight, activation)]
        longest = min(self.max_k, int((2**31 - 1) // (largest[0] * largest[1])))
        if layer_shape.groups != 1:
            return False, f"needs groups = 1, got {layer_shape.groups}"
        if layer_shape.dot_length > longest:
            return False, f"needs K at most {longest}, got {layer_shape.dot_length}"
        return True, ""

    def pack(self, weight: Quantized) -> Packed:
        codes, zero_point = as_int8(weight)
        rows = codes.flatten(1).contiguous()
        return Packed(rows, weight.scale, codes.shape, zero_point, rows.sum(1, dtype=torch.int32))

    def accumulate(self, x: Quantized, packed: Packed) -> Tensor:
        """`Σ (x - Z_x)(w - Z_w)` over the last dimension of `x [..., K]`; int32 [..., N], exact."""
        codes, zero_point = as_int8(x)
        k = codes.shape[-1]
        rows = codes.reshape(-1, k).contiguous()
        result = cuda_ext.int8_matmul(rows, packed.data)
        if zero_point is not None and packed.row_sums is not None:
            result = result - zero_point * packed.row_sums
        if packed.zero_point is not None:
            result = result - packed.zero_point * rows.sum(1, dtype=torch.int32)[:, None]
            if zero_point is not None:
                result = result + k * zero_point * packed.zero_point
        return result.reshape(*codes.shape[:-1], packed.shape[0])

    def accumulate_conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        """The sums of a convolution of `x [B, C, H, W]`; int32 [B, N, Ho, Wo], exact."""
        self._check(window)
        pad_code = 0 if x.zero_point is None else int(x.zero_point)
        if window.pad_value:
            pad_code += round(window.pad_value / float(x.scale))
        rows, size = im2col(x.codes, packed.shape[2:], window, pad_code)
        result = self.accumulate(Quantized(rows, x.scale, x.zero_point, x.format), packed)
        return result.reshape(x.codes.shape[0], *size, packed.shape[0]).permute(0, 3, 1, 2).contiguous()

    def linear(self, x: Quantized, packed: Packed) -> Tensor:
        scaled = self.accumulate(x, packed).double() * packed.scale.reshape(-1).double() * x.scale.double()
        return scaled.float()

    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        sums = self.accumulate_conv2d(x, packed, window)
        return (sums.double() * packed.scale.reshape(-1, 1, 1).double() * x.scale.double()).float()

    def cost(self, layer_shape: LayerShape) -> Operations:
        """One 8-bit multiplication and one 32-bit accumulation a MAC."""
        return Operations(int8_mul=layer_shape.macs, int32_add=layer_shape.macs)


def as_int8(x: Quantized) -> tuple[Tensor, Tensor | None]:
    """Codes and zero point (int32 [] or [N]; None for 0) of an integer format as int8: unsigned ones less 128."""
    zero_point = None if x.zero_point is None else x.zero_point.reshape(-1).squeeze().int()
    if x.codes.dtype == torch.int8:
        return x.codes, zero_point
    shifted = (x.codes.to(torch.int16) - 128).to(torch.int8)
    return shifted, (
        torch.zeros((), dtype=torch.int32, device=shifted.device) if zero_point is None else zero_point
    ) - 128
