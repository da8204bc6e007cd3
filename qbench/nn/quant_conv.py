"""Convolutions with quantizers: what one and two dimensions share."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from qbench.nn import binary_product
from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.quant_layer import QuantLayer
from qbench.nn.quant_op.base import QuantOp
from qbench.nn.quant_op.packed import Packed
from quantizers import Quantized


class QuantConv(QuantLayer):
    """What QuantConv1d and QuantConv2d share; a mixin in front of torch's own layer.

    A 1-D convolution is a 2-D one of height 1: its signals [B, C, L] are images [B, C, 1, L], its filters [N, C, k] are
    [N, C, 1, k]. Zero padding comes after the input quantizer, so a padded value contributes nothing.

    Args:
        dropout: see `QuantLayer`; the others are torch's.

    Raises:
        ValueError: a padding mode other than zeros: what stands outside the image would depend on the image, and
            packed execution has no such padding.
    """

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Any
    dilation: tuple[int, ...]
    groups: int
    padding_mode: Any

    def __init__(self, *args: Any, dropout: float = 0.0, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.padding_mode != "zeros":
            raise ValueError(f"padding_mode must be 'zeros', got {self.padding_mode!r}")
        self._init_quantization(dropout)

    @property
    def window(self) -> ConvWindow:
        """How the filters move over the image."""
        stride, dilation = _image_pair(self.stride, 1), _image_pair(self.dilation, 1)
        if not isinstance(self.padding, str):
            return ConvWindow(stride, _image_pair(self.padding, 0), dilation, self.groups)
        if self.padding == "valid":
            return ConvWindow(stride, (0, 0), dilation, self.groups)
        # As torch divides it: the larger half at the end.
        high, wide = (d * (k - 1) for d, k in zip(dilation, self.image_kernel, strict=True))
        return ConvWindow(stride, (high // 2, wide // 2), dilation, self.groups, extra=(high % 2, wide % 2))

    @property
    def image_kernel(self) -> tuple[int, int]:
        """The size of the filters (vertical, horizontal)."""
        return _image_pair(self.kernel_size, 1)

    def layer_shape(self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> LayerShape:
        """Return the layer's shape for one example of these shapes, without the batch: (C, H, W) or (C, L)."""
        window = self.window
        return LayerShape(
            "conv2d",
            self.in_channels,
            self.out_channels,
            kernel_size=self.image_kernel,
            stride=window.stride,
            padding=window.padding,
            dilation=window.dilation,
            groups=window.groups,
            input_shape=_image_shape(input_shape),
            output_shape=_image_shape(output_shape),
        )

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return self._conv_forward(x, weight, bias)  # type: ignore[operator]

    def _sign_product(self, x: Tensor, weight: Tensor) -> Tensor:
        return self._of_images(binary_product.conv2d(self._images(x), self._filters(weight), self.window), x)

    def _packed_product(self, op: QuantOp, x: Quantized, packed: Packed) -> Tensor:
        scale = self._filters(x.scale)  # one, or one an example: of a batch of signals [B, 1, 1]
        images = Quantized(self._images(x.codes), scale, x.zero_point, x.format)
        return self._of_images(op.conv2d(images, packed, self.window), x.codes)

    def _operand(self, weight: Quantized) -> Quantized:
        scale = self._filters(weight.scale)
        zero_point = None if weight.zero_point is None else self._filters(weight.zero_point)
        return Quantized(self._filters(weight.codes), scale, zero_point, weight.format)

    @property
    def _is_image(self) -> bool:
        return len(self.kernel_size) == 2

    def _filters(self, weight: Tensor) -> Tensor:
        """Return filters [N, C, k], or signals, or what broadcasts against them, as [N, C, 1, k]."""
        return weight if self._is_image or weight.dim() < 3 else weight.unsqueeze(-2)

    def _images(self, x: Tensor) -> Tensor:
        """Return signals as images, and one example as a batch of one."""
        if x.dim() == len(self.kernel_size) + 1:
            x = x.unsqueeze(0)
        return x if self._is_image else x.unsqueeze(-2)

    def _of_images(self, y: Tensor, x: Tensor) -> Tensor:
        """Return a product in the form of the input `x` that `_images` took."""
        y = y if self._is_image else y.squeeze(-2)
        return y.squeeze(0) if x.dim() == len(self.kernel_size) + 1 else y


def _image_pair(values: tuple[int, ...], vertical: int) -> tuple[int, int]:
    """Return (vertical, horizontal) of a setting of one or two dimensions; `vertical` is that of height 1."""
    return (vertical, values[0]) if len(values) == 1 else (values[0], values[1])


def _image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], 1, shape[1]) if len(shape) == 2 else shape
