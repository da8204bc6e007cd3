"""The shape of one layer's arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import cuda_ext


@dataclass(frozen=True)
class ConvWindow:
    """How a convolution's filter moves over an image, without the filter's own size.

    Attributes:
        stride, padding, dilation: (vertical, horizontal).
        groups: how many groups of channels are convolved separately.
        pad_value: the real value outside the image.

    >>> ConvWindow(stride=(2, 1), padding=(1, 1)).output_size((9, 8), (3, 3))
    (5, 8)
    """

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    pad_value: int = 0

    def output_size(self, size: Sequence[int], kernel: Sequence[int]) -> tuple[int, int]:
        """Return (Ho, Wo) for an image and a filter of (vertical, horizontal) size; see `conv_output_size`."""
        return cuda_ext.conv_output_size(size, kernel, self.stride, self.padding, self.dilation)


@dataclass(frozen=True)
class LayerShape:
    """A linear or 2-D convolution layer at one input size, for one example (batch 1).

    Attributes:
        kind: "linear" or "conv2d".
        in_channels, out_channels: features of a linear layer.
        kernel_size, stride, padding, dilation: (vertical, horizontal); ones and zeros for a linear layer.
        groups: of a convolution; 1 for a linear layer.
        input_shape, output_shape: of one example, without the batch.

    >>> LayerShape("conv2d", 3, 128, (3, 3), (1, 1), (1, 1), (1, 1), 1, (3, 32, 32), (128, 32, 32)).macs
    3538944
    """

    kind: str
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    @property
    def dot_length(self) -> int:
        """K, the number of products in one output value."""
        return self.in_channels // self.groups * prod(self.kernel_size)

    @property
    def weights(self) -> int:
        """The number of weights, without biases."""
        return self.out_channels * self.dot_length

    @property
    def outputs(self) -> int:
        """The number of output values."""
        return prod(self.output_shape)

    @property
    def inputs(self) -> int:
        """The number of input values."""
        return prod(self.input_shape)

    @property
    def positions(self) -> int:
        """The number of places a filter is applied at: output values per output channel."""
        return self.outputs // self.out_channels

    @property
    def macs(self) -> int:
        """The number of multiply-accumulates, outputs · K. Products with padding count, as is usual."""
        return self.outputs * self.dot_length
