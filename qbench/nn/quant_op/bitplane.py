"""8-bit unsigned inputs times ±1 weights, by bit planes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

import cuda_ext
from qbench.nn.im2col import im2col, pad_image
from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_op.packed import Packed
from qbench.nn.quant_op.sign_weight_op import SignWeightOp
from quantizers import NumberFormat, Quantized


class BitplaneOp(SignWeightOp):
    """8-bit unsigned inputs and ±1 weights: each bit of the input is one binary plane (BinaryNet's first layer).

    With `x = S·(q - Z)`, Z a multiple of ½, the sums are `Σ (m·q - m·Z)·w = m·Σ q·w - m·Z·Σ w` in integers, m = 1 or 2.

    A padded value is a real 0, for which there may be no code (`2q/255 - 1`: Z = 127.5). It must add to neither sum: so
    q is 0 outside the image, and the second sum is over the taps inside, one constant per channel and, at the borders,
    per position.

    Source: BinaryNet (arXiv 1602.02830) section 3.4.
    """

    name = "bitplane"
    activation_kind = "pixel"
    max_k = (2**31 - 1) // 510  # |2·q - 2·Z| is at most 510

    def supports(self, weight: NumberFormat, activation: NumberFormat, layer_shape: LayerShape) -> tuple[bool, str]:
        """Return whether weights are binary and inputs unsigned, and no sum too long for int32."""
        # The zero point of unsigned integers is a code: Z is whole.
        if activation.kind == "integer" and activation.minimum == 0 and activation.maximum <= 255:
            activation = replace(activation, kind="pixel")
        return super().supports(weight, activation, layer_shape)

    def pack(self, weight: Quantized) -> Packed:
        """Return the signs as bits, a row of K for each output channel, and each tap's sum over the channels."""
        codes = weight.codes
        taps = codes.sum(1, dtype=torch.int32)
        return Packed(cuda_ext.pack_signs(codes.flatten(1).float()), weight.scale, codes.shape, row_sums=taps)

    def constant(self, packed: Packed, offset: int, size: Sequence[int], window: ConvWindow) -> Tensor:
        """Return `-offset·Σ w` over the taps inside an image of `size` (H, W); int32 [Ho, Wo, N].

        Of a linear weight, whose `size` is empty: int32 [N].
        """
        return -offset * self._inside(packed, size, window)

    @staticmethod
    def _inside(packed: Packed, size: Sequence[int], window: ConvWindow) -> Tensor:
        """Return `Σ w` over the taps inside the image, int32 [Ho, Wo, N] or [N]."""
        taps = packed.row_sums
        assert taps is not None
        if taps.dim() == 1:
            return taps
        # In float64: a GPU may convolve float32 with 11 bits.
        ones = pad_image(torch.ones(1, 1, *size, dtype=torch.float64, device=taps.device), window, 0)
        sums = F.conv2d(ones, taps.unsqueeze(1).double(), None, window.stride, 0, window.dilation)
        return sums[0].permute(1, 2, 0).int().contiguous()

    @staticmethod
    def accumulate(rows: Tensor, weight: Tensor | cuda_ext.Prepacked, multiplier: int, constant: Tensor) -> Tensor:
        """Return `multiplier·Σ q·w + constant`, exact: uint8 rows [B·Ho·Wo, K] to int32 [B, Ho, Wo, N].

        Of a linear layer: rows [B, K] to int32 [B, N].
        """
        products = cuda_ext.bitplane_matmul(rows, weight, rows.shape[-1]).view(-1, *constant.shape)
        return torch.add(constant, products, alpha=multiplier, out=products)

    def sums(self, x: Quantized, packed: Packed) -> Tensor:
        """Return `m·Σ (q - Z)·w` of `x [..., K]`, int32 [..., N], exact.

        Raises:
            ValueError: a zero point that is no multiple of 1/2.
        """
        multiplier, offset = self._integers(x)
        rows = x.codes.reshape(-1, x.codes.shape[-1])
        sums = self.accumulate(rows, packed.data, multiplier, self.constant(packed, offset, (), ConvWindow()))
        return sums.view(*x.codes.shape[:-1], packed.shape[0])

    def scaled(self, sums: Tensor, x: Quantized, packed: Packed) -> Tensor:
        """Return `scale_x/m · scale_w · sums [..., N]`, in float64 until the last rounding to float32."""
        return self._weighted(sums * self._unit(x), packed)

    def _unit(self, x: Quantized) -> Tensor:
        """Return `scale_x / m`, float64."""
        return x.scale.double() / self._integers(x)[0]

    @staticmethod
    def _weighted(values: Tensor, packed: Packed) -> Tensor:
        return (values * packed.scale.reshape(-1).double()).float()

    def input_values(self, x: Quantized) -> Tensor:
        """Return `m·(q - Z)`, int32."""
        multiplier, offset = self._integers(x)
        return multiplier * x.codes.int() - offset

    def weight_values(self, packed: Packed) -> Tensor:
        """Return the signs, int32."""
        return cuda_ext.unpack_signs(packed.data, packed.shape[1:].numel()).view(packed.shape).int()

    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        """Return the cross-correlation of `x [B, C, H, W]` with the weight, float32 [B, N, Ho, Wo].

        Raises:
            ValueError: a zero point that is no multiple of 1/2.
        """
        if not window.pad_value:
            return super().conv2d(x, packed, window)
        assert packed.row_sums is not None
        outside = packed.row_sums.sum((1, 2)) - self._inside(packed, x.codes.shape[2:], window)
        values = self.conv2d_sums(x, packed, window) * self._unit(x) + window.pad_value * outside
        return self._weighted(values, packed).permute(0, 3, 1, 2).contiguous()

    def _one_group(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        multiplier, offset = self._integers(x)
        rows, _ = im2col(x.codes, packed.shape[2:], window)
        return self.accumulate(rows, packed.data, multiplier, self.constant(packed, offset, x.codes.shape[2:], window))

    def _pad_value(self, x: Quantized, window: ConvWindow) -> int:
        return 0  # any other value is a real number, which `conv2d` adds

    def _integers(self, x: Quantized) -> tuple[int, int]:
        """Return (m, m·Z), where m is the smallest factor, 1 or 2, that makes m·Z whole."""
        zero_point = 0.0 if x.zero_point is None else float(x.zero_point)
        multiplier = 1 if zero_point.is_integer() else 2
        if not (multiplier * zero_point).is_integer():
            raise ValueError(f"{self.name}: the zero point must be a multiple of 1/2, got {zero_point}")
        return multiplier, int(multiplier * zero_point)

    def operations(self, layer_shape: LayerShape) -> Operations:
        """Count 8·⌈K/32⌉ XNOR-popcount words an output value, one for each of the 8 planes.

        The factor 2^p of a plane is a shift of its count and costs nothing. Nor does the constant, as XnorOp does not
        count its `K - 2·popcount` either: with planes of ±1, `2q - 255 = Σ 2^p·(±1)`.
        """
        return Operations(xnor_popcount_word=8 * layer_shape.outputs * -(-layer_shape.dot_length // 32))
