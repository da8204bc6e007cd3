"""Convolution windows as rows of a matrix (im2col)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

import cuda_ext
from qbench.nn.layer_shape import ConvWindow


def im2col(x: Tensor, kernel: Sequence[int], window: ConvWindow, pad_code: float = 0) -> tuple[Tensor, tuple[int, int]]:
    """Return the patches of an image as rows, and the output size (Ho, Wo).

    x: [B, C, H, W] of any dtype. Result: [B·Ho·Wo, C·kh·kw] of x's dtype, each row in the order of PyTorch's filters.

    Args:
        kernel: (vertical, horizontal) size of the filter.
        window: how it moves; groups and pad_value are not used.
        pad_code: what stands outside the image, in the units of x.
    """
    size = window.output_size(x.shape[2:], kernel)
    pixels = pad_image(x, window, pad_code).permute(0, 2, 3, 1)
    rows = x.new_empty(x.shape[0], *size, x.shape[1], *kernel)
    # Filled tap by tap: several times faster than unfold's strided copy.
    for i, j, tap in cuda_ext.taps(pixels, kernel, window.stride, window.dilation, size):
        rows[..., i, j] = tap
    return rows.view(-1, x.shape[1] * kernel[0] * kernel[1]), size


def pad_image(x: Tensor, window: ConvWindow, value: float) -> Tensor:
    """Return `x [B, C, H, W]` with the window's padding, pixels of `value`."""
    top, left, bottom, right = window.pads
    return F.pad(x, (left, right, top, bottom), value=value)
