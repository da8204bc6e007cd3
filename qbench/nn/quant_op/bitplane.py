"""8-bit unsigned inputs times ±1 weights, by bit planes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

import cuda_ext
from qbench.nn.im2col import im2col
from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_op.packed import Packed
from qbench.nn.quant_op.sign_weight_op import SignWeightOp
from quantizers import PIXEL8, NumberFormat, Quantized


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
        """Return whether weights are binary and inputs unsigned, without groups, and no sum too long for int32."""
        if activation.kind == "integer" and activation.minimum == 0:  # its zero point is a code: Z is whole
            activation = PIXEL8
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
        ones = torch.ones(1, 1, *size, dtype=torch.float64, device=taps.device)
        # In float64: a GPU may convolve float32 with 11 bits.
        sums = F.conv2d(ones, taps.unsqueeze(1).double(), None, window.stride, window.padding, window.dilation)
        return sums[0].permute(1, 2, 0).int().contiguous()

    @staticmethod
    def accumulate(rows: Tensor, weight: Tensor | cuda_ext.Prepacked, multiplier: int, constant: Tensor) -> Tensor:
        """Return `multiplier·Σ q·w + constant`, exact: uint8 rows [B·Ho·Wo, K] to int32 [B, Ho, Wo, N].

        Of a linear layer: rows [B, K] to int32 [B, N].
        """
        products = cuda_ext.bitplane_matmul(rows, weight, rows.shape[-1]).view(-1, *constant.shape)
        return torch.add(constant, products, alpha=multiplier, out=products)

    def linear(self, x: Quantized, packed: Packed) -> Tensor:
        """Return `x [..., K] · weightᵀ`, float32 [..., N].

        Raises:
            ValueError: a zero point that is no multiple of 1/2.
        """
        multiplier, offset = self._integers(x)
        rows = x.codes.reshape(-1, x.codes.shape[-1])
        sums = self.accumulate(rows, packed.data, multiplier, self.constant(packed, offset, (), ConvWindow()))
        scale = packed.scale.reshape(-1).double() * (x.scale.double() / multiplier)
        return (sums * scale).float().reshape(*x.codes.shape[:-1], packed.shape[0])

    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        """Return the cross-correlation of `x [B, C, H, W]` with the weight, float32 [B, N, Ho, Wo].

        Raises:
            ValueError: more than one group, or a zero point that is no multiple of 1/2.
        """
        self._check(window)
        multiplier, offset = self._integers(x)
        size = x.codes.shape[2:]
        rows, _ = im2col(x.codes, packed.shape[2:], window)
        sums = self.accumulate(rows, packed.data, multiplier, self.constant(packed, offset, size, window))
        values = sums * (x.scale.double() / multiplier)
        if window.pad_value:
            assert packed.row_sums is not None
            values += window.pad_value * (packed.row_sums.sum((1, 2)) - self._inside(packed, size, window))
        return (values * packed.scale.reshape(-1).double()).float().permute(0, 3, 1, 2).contiguous()

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
