"""Integers of at most 8 bits."""

from __future__ import annotations

import torch
from torch import Tensor

import cuda_ext
from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_op.epilogue import Epilogue
from qbench.nn.quant_op.op_cost import OpCost
from qbench.nn.quant_op.packed import Packed
from qbench.nn.quant_op.packed_op import PackedOp
from quantizers import NumberFormat, Quantized


class Int8Op(PackedOp):
    """int8 × int8 -> int32, then scaled: integers of 2 to 8 bits, signed or unsigned, with zero points.

    Odd codes of at most 7 bits are integers, too (-127, -125, ..., 127): their sums are exact as well, and what stands
    outside an image is the integer 0, a real 0, although it is no odd code. Those of 8 bits reach ±255.

    An unsigned code is read as `code - 128`, and its zero point likewise, which changes no value. Zero points are
    taken out of the products of whole rows:

        Σ (x - Z_x)(w - Z_w) = Σ x·w - Z_x·Σ w - Z_w·Σ x + K·Z_x·Z_w

    Attributes:
        max_k: the longest sum of int8 products that is exact in int32 on every backend.

    Source: Jacob et al. (CVPR 2018) section 2.3, eq. 7.
    """

    name = "int8"
    max_k = (2**31 - 1) // (128 * 128)

    def supports(self, weight: NumberFormat, activation: NumberFormat, layer_shape: LayerShape) -> tuple[bool, str]:
        """Return whether both are integers of at most 8 bits that share scales, and no sum too long for int32."""
        for role, format in (("activations", activation), ("weights", weight)):
            if format.kind not in ("integer", "odd") or not _fits_byte(format):
                return False, f"needs integer {role} of at most 8 bits, got {format}"
        served = self._shares_scales(weight, activation)
        if not served[0]:
            return served
        # A code and its zero point differ by up to 255 in an unsigned format.
        largest = [max(f.maximum, -f.minimum) if f.minimum < 0 else f.maximum for f in (weight, activation)]
        longest = min(self.max_k, int((2**31 - 1) // (largest[0] * largest[1])))
        return self._fits(layer_shape, longest)

    def pack(self, weight: Quantized) -> Packed:
        """Return the codes as int8, a row of K for each output channel, and the rows' sums."""
        codes, zero_point = as_int8(weight)
        rows = codes.flatten(1).contiguous()
        return Packed(rows, weight.scale, codes.shape, zero_point, rows.sum(1, dtype=torch.int32))

    def accumulate(self, x: Quantized, packed: Packed) -> Tensor:
        """Return `Σ (x - Z_x)(w - Z_w)` over the last dimension of `x [..., K]`; int32 [..., N], exact."""
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
        """Return the sums of a convolution of `x [B, C, H, W]`; int32 [B, N, Ho, Wo], exact."""
        return self.conv2d_sums(x, packed, window).permute(0, 3, 1, 2).contiguous()

    def sums(self, x: Quantized, packed: Packed) -> Tensor:
        """Return `accumulate`'s sums."""
        return self.accumulate(x, packed)

    def scaled(self, sums: Tensor, x: Quantized, packed: Packed) -> Tensor:
        """Return `scale_x · scale_w · sums [..., N]`, in float64 until the last rounding to float32."""
        return (sums.double() * packed.scale.reshape(-1).double() * x.scale.double()).float()

    def input_values(self, x: Quantized) -> Tensor:
        """Return `q - Z`, int32."""
        return _centred(x.codes, x.zero_point)

    def weight_values(self, packed: Packed) -> Tensor:
        """Return `q - Z` in the weight's shape, int32."""
        return _centred(packed.data.view(packed.shape), packed.zero_point)

    def _pad_value(self, x: Quantized, window: ConvWindow) -> int:
        return round(window.pad_value / float(x.scale)) if window.pad_value else 0

    def pad_code(self, x: Quantized, window: ConvWindow) -> int:
        """Return the code of `window.pad_value`: of a real 0, the zero point."""
        zero_code = 0 if x.zero_point is None else int(x.zero_point)
        return zero_code + self._pad_value(x, window)

    def operations(self, layer_shape: LayerShape) -> Operations:
        """Count one 8-bit multiplication and one 32-bit accumulation a MAC."""
        return Operations(int8_mul=layer_shape.macs, int32_add=layer_shape.macs)

    def weight_scale_cost(self, layer_shape: LayerShape, epilogue: Epilogue) -> OpCost:
        """Count one fixed-point multiplication an output value: requantization, which takes in every scale."""
        return OpCost(Operations(int32_mul=layer_shape.outputs), scale_bytes=epilogue.weight_scale_bytes)

    def epilogue_cost(self, layer_shape: LayerShape, epilogue: Epilogue) -> OpCost:
        """Count what follows the sums, in integers: the multiplication, and an int32 bias added to each sum.

        The first BatchNorm is in these two: its factor in the multiplier, its shift in the bias (4 bytes an output
        channel). Further ones are counted as they are.
        """
        cost = self.weight_scale_cost(layer_shape, epilogue)
        if epilogue.bias or epilogue.norms:
            cost += OpCost(Operations(int32_add=layer_shape.outputs), other_bytes=4 * layer_shape.out_channels)
        return cost + epilogue.norms_cost(layer_shape, epilogue.norms[1:])


def _centred(codes: Tensor, zero_point: Tensor | None) -> Tensor:
    """Return `codes - zero_point`, int32; the zero point is one number or one per row."""
    values = codes.int()
    if zero_point is None:
        return values
    return values - zero_point.int().reshape(-1, *[1] * (codes.dim() - 1))


def _fits_byte(format: NumberFormat) -> bool:
    """Whether int8 or uint8 holds all codes of a format."""
    return (format.minimum >= -128 and format.maximum <= 127) or (format.minimum >= 0 and format.maximum <= 255)


def as_int8(x: Quantized) -> tuple[Tensor, Tensor | None]:
    """Return the codes of an integer or odd format as int8, and their zero point (int32 [] or [N]; None for 0).

    Of unsigned codes 128 is taken away, and of their zero point as well, which changes no value.
    """
    zero_point = None if x.zero_point is None else x.zero_point.reshape(-1).squeeze().int()
    if x.format.minimum < 0:
        return x.codes.to(torch.int8), zero_point
    if zero_point is None:
        zero_point = torch.zeros((), dtype=torch.int32, device=x.codes.device)
    return (x.codes.to(torch.int16) - 128).to(torch.int8), zero_point - 128
