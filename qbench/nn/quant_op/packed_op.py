"""A QuantOp that computes on packed rows."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from qbench.nn.im2col import im2col
from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.quant_op.base import QuantOp
from qbench.nn.quant_op.packed import Packed
from quantizers import Quantized


class PackedOp(QuantOp):
    """A QuantOp on packed rows: no groups, and a convolution is the product of its im2col."""

    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        """Return the cross-correlation of `x [B, C, H, W]` with the weight, float32 [B, N, Ho, Wo].

        Raises:
            ValueError: more than one group.
        """
        return self._by_rows(x, packed, window, self.linear)

    def pad_code(self, x: Quantized, window: ConvWindow) -> int:
        """Return the code of `window.pad_value`, which stands outside the image."""
        return window.pad_value

    def _by_rows(
        self, x: Quantized, packed: Packed, window: ConvWindow, product: Callable[[Quantized, Packed], Tensor]
    ) -> Tensor:
        """Return `product` of the im2col of `x [B, C, H, W]`, as an image [B, N, Ho, Wo]."""
        self._check(window)
        rows, size = im2col(x.codes, packed.shape[2:], window, self.pad_code(x, window))
        result = product(Quantized(rows, x.scale, x.zero_point, x.format), packed)
        return result.reshape(x.codes.shape[0], *size, packed.shape[0]).permute(0, 3, 1, 2).contiguous()

    @staticmethod
    def _fits(layer_shape: LayerShape, max_k: int) -> tuple[bool, str]:
        """Return whether the layer has one group and sums of at most `max_k` products, and if not, why."""
        if layer_shape.kind == "embedding":
            return False, "needs products, an embedding has none"
        if layer_shape.groups != 1:
            return False, f"needs groups = 1, got {layer_shape.groups}"
        if layer_shape.dot_length > max_k:
            return False, f"needs K at most {max_k}, got {layer_shape.dot_length}"
        return True, ""

    def _check(self, window: ConvWindow) -> None:
        """Raise a ValueError if there is more than one group."""
        if window.groups != 1:
            raise ValueError(f"{self.name}: groups must be 1, got {window.groups}")
