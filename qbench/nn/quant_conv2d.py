"""`nn.Conv2d` with quantizers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from qbench.nn import binary_product
from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.quant_layer import QuantLayer
from qbench.nn.quant_op.base import QuantOp
from qbench.nn.quant_op.packed import Packed
from quantizers import Quantized


class QuantConv2d(QuantLayer, nn.Conv2d):
    """`nn.Conv2d` with a weight quantizer, an input quantizer and input dropout; see `QuantLayer`.

    Zero padding comes after the input quantizer, so a padded pixel contributes nothing.

    x: float [B, C, H, W]. Result: float [B, out_channels, Ho, Wo].

    Raises:
        ValueError: a padding given by name or a padding mode other than zeros: packed execution has neither.
    """

    def __init__(self, *args: Any, dropout: float = 0.0, **options: Any) -> None:
        super().__init__(*args, **options)
        if isinstance(self.padding, str) or self.padding_mode != "zeros":
            raise ValueError(
                f"padding must be numbers with padding_mode 'zeros', got {self.padding!r}, {self.padding_mode!r}"
            )
        self._init_quantization(dropout)

    def _product(self, x: Tensor, weight: Tensor) -> Tensor:
        return self._conv_forward(x, weight, self.bias)

    def _sign_product(self, x: Tensor, weight: Tensor) -> Tensor:
        return binary_product.conv2d(x, weight, self.window)

    def _packed_product(self, op: QuantOp, x: Quantized, packed: Packed) -> Tensor:
        return op.conv2d(x, packed, self.window)

    @property
    def window(self) -> ConvWindow:
        """How the filters move over the image."""
        assert not isinstance(self.padding, str)  # refused by the constructor
        (s_y, s_x), (p_y, p_x), (d_y, d_x) = self.stride, self.padding, self.dilation
        return ConvWindow((s_y, s_x), (p_y, p_x), (d_y, d_x), self.groups)

    def layer_shape(self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> LayerShape:
        """Return the layer's shape for one example of these shapes, without the batch."""
        window = self.window
        return LayerShape(
            "conv2d",
            self.in_channels,
            self.out_channels,
            kernel_size=(self.kernel_size[0], self.kernel_size[1]),
            stride=window.stride,
            padding=window.padding,
            dilation=window.dilation,
            groups=window.groups,
            input_shape=input_shape,
            output_shape=output_shape,
        )
