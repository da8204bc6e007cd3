"""What numbers become, by formulas that share nothing with the quantizers: float64, from the papers.

Codes alone are computed in float32, as the integers' definition says (`round(x / S)`, half to even): at the border of
two codes another precision would choose the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor


def signs(x: Tensor) -> Tensor:
    """Return +1 where x >= 0, else -1; float64. BinaryNet (arXiv 1602.02830) eq. 1."""
    return 1 - 2 * (x < 0).double()


def scaled_signs(weight: Tensor) -> Tensor:
    """Return `sign(w)·mean|w|` of each output channel; float64. XNOR-Net (arXiv 1603.05279) eq. 6."""
    rows = weight.double().flatten(1)
    return (signs(rows) * (rows.abs().sum(1, keepdim=True) / rows.shape[1])).reshape(weight.shape)


def ternary(weight: Tensor, per_channel: bool) -> Tensor:
    """Return -Δ, 0, +Δ with the least squared error, of each output channel or of all; float64.

    Every number of weights that stay is tried, and its error summed weight by weight.

    Source: Hwang & Sung (SiPS 2014) section III.
    """
    rows = weight.double().flatten(1) if per_channel else weight.double().reshape(1, -1)
    return torch.stack([_best_ternary(row) for row in rows]).reshape(weight.shape)


def _best_ternary(row: Tensor) -> Tensor:
    order = row.abs().argsort(descending=True, stable=True)
    kept = torch.tril(torch.ones(len(row), len(row), dtype=torch.float64))  # row k: the k + 1 largest stay
    magnitudes = row.abs()[order]
    steps = (kept * magnitudes).sum(1) / kept.sum(1)
    errors = (magnitudes - kept * steps[:, None]).square().sum(1)
    best = int(errors.argmin())
    result = torch.zeros_like(row)
    result[order] = kept[best] * steps[best]
    return result * signs(row)


def codes(x: Tensor, scale: Tensor, zero_point: Tensor | float, low: float, high: float) -> Tensor:
    """Return `clamp(round(x / S) + Z, low, high)`; float64."""
    quotient = (x.float() / scale.float()).double()
    return (torch.round(quotient) + zero_point).clamp(low, high)


def integers(x: Tensor, scale: Tensor, zero_point: Tensor | float, low: float, high: float) -> Tensor:
    """Return `S·(q - Z)` of the codes q of x; float64. Jacob et al. (CVPR 2018) eq. 1."""
    return scale.double() * (codes(x, scale, zero_point, low, high) - zero_point)


def channel_scales(weight: Tensor, bits: int = 8) -> Tensor:
    """Return the scale of each output channel's weights, `max|w| / (2^(bits-1) - 1)`, 1 where all are 0; float32 [N].

    Source: Krishnamoorthi (arXiv 1806.08342) section 2.2, symmetric, per channel.
    """
    largest = weight.flatten(1).abs().amax(1).double()
    return torch.where(largest == 0, 1.0, largest / (2.0 ** (bits - 1) - 1)).float()


def group_integers(weight: Tensor, bits: int, group_size: int, scale_bits: int) -> Tensor:
    """Return symmetric integers times `max|w| / (2^(bits-1) - 1)` of each group of a row, the scale as it is stored.

    Float64. See `stored_scale`.
    """
    top = 2.0 ** (bits - 1) - 1

    def rounded(group: Tensor) -> Tensor:
        largest = float(group.abs().max())
        scale = torch.tensor(stored_scale(largest / top, scale_bits) if largest else 1.0)
        return integers(group, scale, 0.0, -top, top)

    return _by_group(weight, group_size, rounded)


def nearest_values(
    weight: Tensor, values: Sequence[float], group_size: int | None, scale_bits: int, cover: bool
) -> Tensor:
    """Return the value of a table nearest to each weight, times `max|w| / max|v|` of its group, or of its row; float64.

    Every value is tried. Of two as near, that an even number of values away from the one nearest to 0.

    cover: False takes the scale of the MX specification 1.0 section 6.3: `2^(⌊log2 max|w|⌋ - ⌊log2 max|v|⌋)`.
    """
    ordered = sorted(values)
    zero = min(range(len(ordered)), key=lambda at: abs(ordered[at]))
    preferred = sorted(range(len(ordered)), key=lambda at: (at - zero) % 2)
    table, top = torch.tensor([ordered[at] for at in preferred], dtype=torch.float64), max(map(abs, values))

    def rounded(group: Tensor) -> Tensor:
        largest = float(group.abs().max())
        if not largest:
            scale = 1.0
        elif cover:
            scale = stored_scale(largest / top, scale_bits)
        else:
            scale = 2.0 ** (math.floor(math.log2(largest)) - math.floor(math.log2(top)))
        distances = (group.double()[:, None] / scale - table).abs()
        return table[distances.argmin(1)].float().double() * scale  # the first of equals

    return _by_group(weight, group_size, rounded)


def stored_scale(wanted: float, scale_bits: int) -> float:
    """Return the smallest number of a scale's width that is no smaller than `wanted > 0`; of 32 bits the nearest."""
    if scale_bits == 32:
        return float(np.float32(wanted))
    if scale_bits == 8:
        return 2.0 ** min(max(math.ceil(math.log2(wanted)), -127), 127)
    wanted = min(wanted, 65504.0)
    nearest = np.float16(wanted)
    return float(nearest if float(nearest) >= wanted else np.nextafter(nearest, np.float16(np.inf)))


def _by_group(weight: Tensor, group_size: int | None, rounded: Callable[[Tensor], Tensor]) -> Tensor:
    rows = weight.flatten(1)
    size = group_size or rows.shape[1]
    return torch.stack([torch.cat([rounded(group) for group in row.split(size)]) for row in rows]).reshape(weight.shape)


def dorefa_weights(weight: Tensor, bits: int) -> Tensor:
    """Return `2·quantize_k(tanh(w) / (2·max|tanh(w)|) + 1/2) - 1`; float64. DoReFa-Net (arXiv 1606.06160) eq. 9."""
    compressed, levels = weight.double().tanh(), 2.0**bits - 1
    return 2 * torch.round(levels * (compressed / (2 * compressed.abs().max()) + 0.5)) / levels - 1


def dorefa_activations(x: Tensor, bits: int) -> Tensor:
    """Return `quantize_k(clip(x, 0, 1))`; float64. DoReFa-Net (arXiv 1606.06160) eq. 5 and section 2.4."""
    levels = 2.0**bits - 1
    return torch.round(levels * x.double().clamp(0, 1)) / levels
