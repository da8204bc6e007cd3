"""A convolution of many small groups: its taps one after the other, all groups together."""

from __future__ import annotations

from torch import Tensor

import cuda_ext
from qbench.nn.im2col import pad_image
from qbench.nn.layer_shape import ConvWindow


def tap_sums(x: Tensor, weight: Tensor, window: ConvWindow, pad: int) -> Tensor:
    """Return `Σ x·w` over the taps and channels of each group, channels last: [B, Ho, Wo, N], exact in integers.

    Each of the C/groups · kh · kw products of a sum is one multiplication and addition of whole images. Of a depthwise
    3 × 3 convolution that is 9, however many groups there are.

    Args:
        x: int32 or float32 [B, C, H, W].
        weight: of x's dtype, [N, C/groups, kh, kw].
        window: how the filters move.
        pad: what stands outside the image, in the units of x.
    """
    filters, channels, *kernel = weight.shape
    groups = window.groups
    size = window.output_size(x.shape[2:], kernel)
    pixels = pad_image(x, window, pad).permute(0, 2, 3, 1).contiguous()
    grouped = weight.reshape(groups, filters // groups, channels, *kernel)
    sums = x.new_zeros(x.shape[0], *size, groups, filters // groups)
    for i, j, tap in cuda_ext.taps(pixels, kernel, window.stride, window.dilation, size):
        by_group = tap.unflatten(-1, (groups, channels))
        for channel in range(channels):
            sums.addcmul_(by_group[..., channel, None], grouped[:, :, channel, i, j])
    return sums.flatten(-2)
