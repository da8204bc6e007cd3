"""The shape of one layer's arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import cuda_ext


@dataclass(frozen=True)
class ConvWindow:
    """How a convolution's filter moves over an image, without the filter's own size.

    Attributes:
        stride, padding, dilation: (vertical, horizontal).
        groups: how many groups of channels are convolved separately.
        pad_value: the real value outside the image.
        extra: how many more pixels than `padding` stand at the bottom and at the right: torch's padding "same" has one
            for an even `dilation · (kernel - 1) + 1`. Only with stride 1, as that padding.

    Raises:
        ValueError: `extra` in a direction whose stride is not 1.

    >>> ConvWindow(stride=(2, 1), padding=(1, 1)).output_size((9, 8), (3, 3))
    (5, 8)
    >>> ConvWindow(padding=(0, 1), extra=(1, 1)).output_size((9, 8), (2, 4))
    (9, 8)
    """

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    pad_value: int = 0
    extra: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        """Refuse unequal padding with a stride."""
        if any(more and step != 1 for more, step in zip(self.extra, self.stride, strict=True)):
            raise ValueError(f"unequal padding needs stride 1, got extra {self.extra} and stride {self.stride}")

    def output_size(self, size: Sequence[int], kernel: Sequence[int]) -> tuple[int, int]:
        """Return (Ho, Wo) for an image and a filter of (vertical, horizontal) size; see `conv_output_size`."""
        larger = (size[0] + self.extra[0], size[1] + self.extra[1])
        return cuda_ext.conv_output_size(larger, kernel, self.stride, self.padding, self.dilation)

    @property
    def of_one_group(self) -> ConvWindow:
        """The same window over the channels of one group."""
        return replace(self, groups=1)

    @property
    def pads(self) -> tuple[int, int, int, int]:
        """The padding at the top, the left, the bottom and the right, which is ONNX's order."""
        (top, left), (below, beyond) = self.padding, self.extra
        return top, left, top + below, left + beyond

    @property
    def widened(self) -> ConvWindow:
        """The window with equal padding on all sides, the larger of each two.

        Its output is this window's from row `extra[0]` and column `extra[1]` on.
        """
        (top, left), (below, beyond) = self.padding, self.extra
        return replace(self, padding=(top + below, left + beyond), extra=(0, 0))


@dataclass(frozen=True)
class LayerShape:
    """A layer at one input size, for one example (batch 1): linear, a convolution, or a table of embeddings.

    Attributes:
        kind: "linear", "conv2d" or "embedding". A 1-D convolution is a "conv2d" of height 1.
        in_channels, out_channels: features of a linear layer; the entries of a table, and an entry's length.
        kernel_size, stride, padding, dilation: (vertical, horizontal); ones and zeros but for a convolution. Padding is
            that at the top and left; see `ConvWindow.extra`.
        groups: of a convolution; 1 for the others.
        input_shape, output_shape: of one example, without the batch; of a convolution (C, H, W).

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

    @classmethod
    def without_window(
        cls,
        kind: str,
        in_channels: int,
        out_channels: int,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
    ) -> LayerShape:
        """Return the shape of a layer that moves over no image: linear, or a table of embeddings.

        >>> LayerShape.without_window("linear", 64, 10, (64,), (10,)).macs
        640
        """
        return cls(kind, in_channels, out_channels, (1, 1), (1, 1), (0, 0), (1, 1), 1, input_shape, output_shape)

    @property
    def dot_length(self) -> int:
        """K, the number of products in one output value; 0 of an embedding, which is looked up."""
        if self.kind == "embedding":
            return 0
        return self.in_channels // self.groups * prod(self.kernel_size)

    @property
    def weight_rows(self) -> tuple[int, int]:
        """The weight as rows, each stored for itself: (output channels, K); of a table (entries, an entry's length)."""
        if self.kind == "embedding":
            return self.in_channels, self.out_channels
        return self.out_channels, self.dot_length

    @property
    def weights(self) -> int:
        """The number of weights, without biases."""
        return prod(self.weight_rows)

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
        """The number of places a filter is applied at, or of entries looked up: output values per output channel."""
        return self.outputs // self.out_channels

    @property
    def macs(self) -> int:
        """The number of multiply-accumulates, outputs · K. Products with padding count, as is usual."""
        return self.outputs * self.dot_length
