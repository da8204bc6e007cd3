"""Outliers of a weight tensor, and the dead channels they come from, removed before a range is chosen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# 1.4826 · median absolute deviation is the standard deviation of a normal distribution.
_MAD_TO_STD = 1.4826
# A channel this much weaker than the typical one computes its bias and nothing else.
_VANISHED = 1e-6


@dataclass(frozen=True)
class OutlierReport:
    """The findings of `analyse_outliers`.

    Attributes:
        dead: bool [C]: the channel's output is constant.
        outlier: bool [C]: a weight of the channel is beyond `limit`.
        limit: the largest magnitude a weight keeps in `clip_outliers`.
        clipped_fraction: share of all weights beyond it.
    """

    dead: Tensor
    outlier: Tensor
    limit: float
    clipped_fraction: float


@torch.no_grad()
def analyse_outliers(
    weight: Tensor,
    bias: Tensor | None = None,
    input_range: tuple[float, float] | None = None,
    sigmas: float = 6.0,
) -> OutlierReport:
    """Find dead channels of a layer followed by ReLU, and weights far beyond those of the live ones.

    A channel (dimension 0) is dead where its weights have vanished (largest magnitude at most 1e-6 of the median
    channel's), or, if `input_range` is given, where it can never fire: with inputs in [lo, hi] its pre-activation is
    at most `bias + Σ max(w·lo, w·hi) <= 0`. Folding BatchNorm makes such channels the loudest of a tensor: their
    variance is near 0, and the weights are divided by it.

    The limit is `median + sigmas · 1.4826 · MAD` over the live channels' largest magnitudes (never under the median
    itself); where all live channels are alike (MAD 0) or fewer than three are left, it is their largest magnitude:
    only dead channels are then clipped. Without live channels it is the largest magnitude: nothing is clipped.

    Args:
        weight: [C, ...], floating point, after BatchNorm folding.
        bias: [C] or None for zeros.
        input_range: least and greatest input value, e.g. (0.0, calibrated maximum).
        sigmas: positive.

    Raises:
        ValueError: empty weights, NaN or infinity, a bias of another length, lo > hi, or sigmas <= 0.
    """
    if weight.numel() == 0:
        raise ValueError("an empty weight has no outliers")
    rows = weight.detach().reshape(weight.shape[0], -1).double().cpu()
    if not bool(torch.isfinite(rows).all()):
        raise ValueError("NaN or infinity in a tensor to be analysed")
    if bias is not None and bias.shape != (weight.shape[0],):
        raise ValueError(f"bias has shape {list(bias.shape)}, expected [{weight.shape[0]}]")
    if sigmas <= 0:
        raise ValueError(f"sigmas must be positive, got {sigmas}")
    largest = rows.abs().amax(1)
    dead = largest <= _VANISHED * _median(largest)
    if input_range is not None:
        lo, hi = input_range
        if not lo <= hi:
            raise ValueError(f"input_range must rise, got {input_range}")
        reach = torch.maximum(rows * lo, rows * hi).sum(1)
        dead |= reach + (0.0 if bias is None else bias.detach().double().cpu()) <= 0
    limit = _limit(largest, dead, sigmas)
    beyond = weight.detach().abs().double() > limit
    return OutlierReport(dead, largest > limit, limit, float(beyond.double().mean()))


def _limit(largest: Tensor, dead: Tensor, sigmas: float) -> float:
    """Return the magnitude beyond which weights are outliers; `largest` float64 [C], `dead` bool [C]."""
    live = largest[~dead]
    if live.numel() == 0:
        return float(largest.max())
    median = _median(live)
    spread = _MAD_TO_STD * _median((live - median).abs())
    limit = float(live.max())
    if live.numel() >= 3 and spread > 0:
        limit = min(limit, float(median + sigmas * spread))
    return limit


@torch.no_grad()
def clip_outliers(weight: Tensor, report: OutlierReport) -> Tensor:
    """Return `clamp(weight, -limit, limit)`, a new tensor: what a range should be computed from."""
    return weight.clamp(-report.limit, report.limit)


def _median(values: Tensor) -> Tensor:
    """Return the median, the mean of the middle two where their number is even."""
    return values.quantile(0.5)
