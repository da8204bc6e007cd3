"""Convolution windows as rows of a matrix (im2col)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from qbench.nn.layer_shape import ConvWindow


def im2col(x: Tensor, kernel: Sequence[int], window: ConvWindow, pad_code: float = 0) -> tuple[Tensor, tuple[int, int]]:
    """The patches of `x [B, C, H, W]` as rows [B·Ho·Wo, C·kh·kw] of x's dtype, in PyTorch's order, and (Ho, Wo).

    `pad_code` stands outside the image.
    """
    size = window.output_size(x.shape[2:], kernel)
    pixels = pad_image(x, window.padding, pad_code).permute(0, 2, 3, 1)
    rows = x.new_empty(x.shape[0], *size, x.shape[1], *kernel)
    # Filled tap by tap: several times faster than unfold's strided copy.
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * window.dilation[0], j * window.dilation[1]
            rows[..., i, j] = pixels[
                :,
                top : top + (size[0] - 1) * window.stride[0] + 1 : window.stride[0],
                left : left + (size[1] - 1) * window.stride[1] + 1 : window.stride[1],
            ]
    return rows.view(-1, x.shape[1] * kernel[0] * kernel[1]), size


def pad_image(x: Tensor, padding: tuple[int, int], value: float) -> Tensor:
    vertical, horizontal = padding
    return F.pad(x, (horizontal, horizontal, vertical, vertical), value=value)
