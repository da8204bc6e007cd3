"""A QuantOp that computes on packed rows."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from qbench.nn.im2col import im2col
from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.quant_op.base import QuantOp
from qbench.nn.quant_op.packed import Packed
from qbench.nn.quant_op.tap_sums import tap_sums
from quantizers import NumberFormat, Quantized


class PackedOp(QuantOp):
    """A QuantOp on packed rows: a convolution is the product of its im2col, or, of many small groups, a sum of taps.

    A subclass says how rows are multiplied (`sums`), what the sums are scaled by (`scaled`), and what the codes
    mean (`input_values`, `weight_values`).
    """

    @abstractmethod
    def sums(self, x: Quantized, packed: Packed) -> Tensor:
        """Return the sums of `x [..., K]` with each row of the weight, [..., N]: int32, or float32 of real inputs."""

    @abstractmethod
    def scaled(self, sums: Tensor, x: Quantized, packed: Packed) -> Tensor:
        """Return `sums [..., N]` as real values, float32."""

    @abstractmethod
    def input_values(self, x: Quantized) -> Tensor:
        """Return the numbers that are multiplied, of which 0 is the real 0: int32, or float32 of real inputs."""

    @abstractmethod
    def weight_values(self, packed: Packed) -> Tensor:
        """Return the numbers that are multiplied, in the weight's shape and the dtype of `input_values`."""

    def linear(self, x: Quantized, packed: Packed) -> Tensor:
        """Return `x [..., K] · weightᵀ`, float32 [..., N]."""
        return self.scaled(self.sums(x, packed), x, packed)

    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        """Return the cross-correlation of `x [B, C, H, W]` with the weight, float32 [B, N, Ho, Wo]."""
        sums = self.conv2d_sums(x, packed, window)
        return self.scaled(sums, x, packed).permute(0, 3, 1, 2).contiguous()

    def conv2d_sums(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        """Return the sums of a convolution of `x [B, C, H, W]`, channels last: [B, Ho, Wo, N]; dtype as `sums`.

        Groups are convolved one after the other, or, where there are more groups than products in a sum (as in a
        depthwise convolution), all together, tap by tap. Integer sums are exact either way.
        """
        if window.groups == 1:
            return self._one_group(x, packed, window)
        if window.groups <= packed.shape[1:].numel():
            return self._group_by_group(x, packed, window)
        values, pad = self.input_values(x), self._pad_value(x, window)
        return tap_sums(values, self.weight_values(packed), window, pad)

    def pad_code(self, x: Quantized, window: ConvWindow) -> int:
        """Return the code of `window.pad_value`, which stands outside the image."""
        return window.pad_value

    def _pad_value(self, x: Quantized, window: ConvWindow) -> int:
        """Return what stands outside the image, in the units of `input_values`."""
        return window.pad_value

    def _one_group(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        rows, size = im2col(x.codes, packed.shape[2:], window, self.pad_code(x, window))
        sums = self.sums(Quantized(rows, x.scale, x.zero_point, x.format), packed)
        return sums.view(x.codes.shape[0], *size, packed.shape[0])

    def _group_by_group(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        one, channels, filters = window.of_one_group, packed.shape[1], packed.shape[0] // window.groups
        parts = []
        for group in range(window.groups):
            codes = x.codes[:, group * channels : (group + 1) * channels]
            part = Quantized(codes, x.scale, x.zero_point, x.format)
            parts.append(self._one_group(part, packed.rows(group * filters, (group + 1) * filters), one))
        return torch.cat(parts, -1)

    @staticmethod
    def _shares_scales(weight: NumberFormat, activation: NumberFormat) -> tuple[bool, str]:
        """Return whether all products of a sum have one scale, without which codes cannot be added, and if not, why."""
        for role, format in (("activations", activation), ("weights", weight)):
            if format.group_size is not None:
                return False, f"needs {role} with one scale a sum, got {format}: {format.group_size} values share one"
        return True, ""

    @staticmethod
    def _fits(layer_shape: LayerShape, max_k: int) -> tuple[bool, str]:
        """Return whether the layer has products, and sums of at most `max_k` of them, and if not, why."""
        if layer_shape.kind == "embedding":
            return False, "needs products, an embedding has none"
        if layer_shape.dot_length > max_k:
            return False, f"needs K at most {max_k}, got {layer_shape.dot_length}"
        return True, ""
