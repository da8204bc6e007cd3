"""What the values of each channel look like."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ChannelStatistics:
    """Statistics of each channel; float64 [C] on the CPU.

    Attributes:
        minimum, maximum, mean: of the values.
        std: population standard deviation.
        max_abs: the largest magnitude.
        rms: root of the mean square.
        zero_fraction: share of exact zeros.
    """

    minimum: Tensor
    maximum: Tensor
    mean: Tensor
    std: Tensor
    max_abs: Tensor
    rms: Tensor
    zero_fraction: Tensor


@torch.no_grad()
def channel_statistics(x: Tensor, channel_axis: int = 0) -> ChannelStatistics:
    """Statistics of every entry of dimension `channel_axis`, computed in float64.

    Raises:
        ValueError: no elements, or NaN or infinity.
    """
    if x.numel() == 0:
        raise ValueError("an empty tensor has no channel statistics")
    rows = x.detach().movedim(channel_axis, 0).reshape(x.shape[channel_axis], -1).double().cpu()
    if not bool(torch.isfinite(rows).all()):
        raise ValueError("NaN or infinity in a tensor to be analysed")
    low, high = rows.aminmax(dim=1)
    return ChannelStatistics(
        minimum=low,
        maximum=high,
        mean=rows.mean(1),
        std=rows.std(1, correction=0),
        max_abs=torch.maximum(low.abs(), high.abs()),
        rms=rows.square().mean(1).sqrt(),
        zero_fraction=(rows == 0).double().mean(1),
    )
