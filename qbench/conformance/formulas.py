"""What numbers become, by formulas that share nothing with the quantizers: float64, from the papers.

Codes alone are computed in float32, as the integers' definition says (`round(x / S)`, half to even): at the border of
two codes another precision would choose the other.
"""

from __future__ import annotations

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
