"""The saturation threshold of the smallest information loss: the KL divergence method."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

ZeroBin = Literal["copy", "keep"]
"""The treatment of the bin at zero; see `kl_threshold`."""

# float64 sums of a few thousand terms differ by about 1e-13 with their order; candidates closer than this are equal.
TIE_TOLERANCE = 1e-12


MUCH = 0.1
"""The share of values that a threshold may clip without a warning: outliers are few."""


class DegenerateKLWarning(RuntimeWarning):
    """A KL threshold that clips nothing: the result is that of min-max. Or one that clips much."""


@dataclass(frozen=True)
class KLThreshold:
    """The choice that `kl_threshold` made.

    Attributes:
        threshold: `(bins + ½) · bin_width`, not above the observed maximum where that was given.
        bin_width: of each bin.
        bins: the chosen candidate i: the bins 0..i-1 are kept, the mass beyond saturates.
        divergence: float64 [len(counts) - levels + 1]; entry c is KL(P‖Q) in nats of candidate i = levels + c,
            infinite where Q is 0 and P is not.
        levels: of the quantized half axis.
        clips_nothing: True where no count lies beyond the chosen bins: the result is min-max.
        degenerate: clips_nothing although more than one bin is filled, so that there was something to choose.
        clipped: the share of the values outside of bin 0 that lie beyond the chosen bins. Where it is large, the values
            are few, or far from 0: mass that is clipped into one bin is a distribution that Q copies without loss.
    """

    threshold: float
    bin_width: float
    bins: int
    divergence: Tensor
    levels: int
    clips_nothing: bool
    degenerate: bool
    clipped: float


def kl_divergence(counts: Tensor, bins: int, levels: int) -> float:
    """Return KL(P‖Q) in nats of one candidate: `bins` bins of `counts` are kept, and merged to `levels` levels.

    P is `counts[:bins]` with the mass beyond added to its last bin. Q comes from the raw `counts[:bins]`: bin j
    belongs to level `floor(j · levels / bins)`; the sum of a level is spread evenly over its non-empty bins. Both
    are normalised, and `KL = Σ P log(P / Q)` over P > 0: infinite where Q is 0 there. Nothing is done to bin 0.

    Args:
        counts: int64 [n], n >= bins.
        bins, levels: 1 <= levels <= bins.

    Raises:
        ValueError: another order of the sizes, or counts that are negative or of more than one dimension.
        TypeError: counts that are no integers.

    >>> raw = torch.tensor([1, 0, 2, 3, 5, 3, 1, 7])   # expands to [2, 0, 2, 2, 4, 4, 4, 4]
    >>> round(kl_divergence(raw, bins=8, levels=2), 9)
    0.150315265

    Source: Migacz, 8-bit inference with TensorRT (GTC 2017, s7310).
    """
    counts = _as_counts(counts)
    if not 1 <= levels <= bins <= counts.numel():
        raise ValueError(f"need 1 <= levels <= bins <= {counts.numel()} counts, got levels={levels}, bins={bins}")
    raw = counts[:bins]
    reference = raw.clone()
    reference[-1] += counts[bins:].sum()
    expanded = expand_levels(raw, levels)
    kept = reference > 0
    if not bool(kept.any()):
        return 0.0
    if bool((expanded[kept] == 0).any()):
        return math.inf
    p = reference[kept].double() / reference.sum()
    q = expanded[kept] / raw.sum()
    return max(float((p * torch.log(p / q)).sum()), 0.0)


def expand_levels(raw: Tensor, levels: int) -> Tensor:
    """Merge `raw` [n] to `levels` levels, and spread each evenly over its non-empty bins; float64 [n]."""
    level = torch.arange(raw.numel()) * levels // raw.numel()
    sums = torch.zeros(levels, dtype=torch.int64).index_add_(0, level, raw)
    filled = torch.zeros(levels, dtype=torch.int64).index_add_(0, level, (raw > 0).long())
    return torch.where(raw > 0, sums[level].double() / filled[level].clamp_min(1), 0.0)


def kl_threshold(
    counts: Tensor,
    bin_width: float,
    levels: int = 128,
    zero_bin: ZeroBin = "copy",
    observed_max: float | None = None,
) -> KLThreshold:
    """Return the saturation threshold of |x| that loses least information, `argmin_i KL(P_i‖Q_i)`.

    Candidates keep the first i bins, i = levels .. len(counts) inclusive; `kl_divergence` defines P and Q. The
    threshold is `(i + ½) · bin_width`. A tie (within 1e-12 nats) goes to the candidate that clips fewest counts, of
    those to the smallest i, which has the finest steps. (Ties are real: with the values 0.5 and 3 alone, clipping 3
    to 0.5 puts all of P in one bin, which Q copies: divergence 0, just as without clipping.) The last candidate is
    always finite, so there is always a choice.

    Args:
        counts: histogram of |x| from 0, int64 [n] (any integer dtype), n > levels. Of bins beyond the largest
            observed value, leave out all: their candidates would be ranges nobody saw.
        bin_width: of each bin; positive, or 0 where all values are zero (the threshold is then 0).
        levels: of the half axis: 128 for signed 8 bits, 256 for unsigned.
        zero_bin: 'copy' replaces counts[0] by counts[1]: the exact zeros that ReLU makes are representable in every
            candidate, cost nothing, and drag the threshold far too low by their number alone. 'keep' is the
            algorithm of the slides to the letter.
        observed_max: upper bound of the threshold: the half bin beyond the last one was never seen.

    Documented results: all counts zero, or only bin 0 filled and copied away: every divergence is 0, i = levels. Only
    bin k filled: every i > k has divergence 0, those below are infinite, hence `i = max(levels, k + 1)`.

    Raises:
        ValueError: counts of one dimension are expected, not negative, more than `levels` of them (with as many bins
            as levels the only candidate is the whole range: min-max in disguise); bin_width negative or not finite.
        TypeError: counts that are no integers (a float histogram stops counting at 2^24).

    Warns:
        DegenerateKLWarning: nothing is clipped although more than one bin is filled: the result is min-max.

    Source: Migacz, 8-bit inference with TensorRT (GTC 2017, s7310).
    """
    result = choose_threshold(counts, bin_width, levels, zero_bin, observed_max)
    if result.degenerate:
        warnings.warn(
            f"the KL method clips nothing (it keeps {result.bins} of {len(counts)} bins): the result is min-max",
            DegenerateKLWarning,
            stacklevel=2,
        )
    return result


def choose_threshold(
    counts: Tensor,
    bin_width: float,
    levels: int,
    zero_bin: ZeroBin,
    observed_max: float | None,
    outside: int = 0,
) -> KLThreshold:
    """Choose as `kl_threshold` does, without its warning: for a caller that warns once for many channels.

    Args:
        counts, bin_width, levels, zero_bin, observed_max: see there.
        outside: the values beyond all of the bins, which saturate under every candidate; the last bin holds a count.
    """
    counts = _as_counts(counts)
    if levels < 1:
        raise ValueError(f"levels must be positive, got {levels}")
    if counts.numel() <= levels:
        raise ValueError(
            f"the KL method needs more bins than levels, got {counts.numel()} bins for {levels} levels: "
            "its only candidate would be the whole range, min-max in disguise"
        )
    if not (math.isfinite(bin_width) and bin_width >= 0):
        raise ValueError(f"bin_width must be finite and not negative, got {bin_width}")
    if zero_bin not in ("copy", "keep"):
        raise ValueError(f"zero_bin must be 'copy' or 'keep', got {zero_bin!r}")
    treated = counts.clone()
    if zero_bin == "copy":
        treated[0] = treated[1]
    divergence = _divergences(treated, levels, outside)
    tied = levels + (divergence <= divergence.min() + TIE_TOLERANCE).nonzero().flatten()
    kept = _prefix(counts)[tied]
    bins = int(tied[kept == kept[-1]][0])  # the largest of the tied keeps the most
    threshold = (bins + 0.5) * bin_width
    if observed_max is not None:
        threshold = min(threshold, observed_max)
    beyond = int(counts[bins:].sum()) + outside
    degenerate = beyond == 0 and int((counts > 0).sum()) > 1
    clipped = beyond / max(int(counts[1:].sum()) + outside, 1)
    return KLThreshold(threshold, bin_width, bins, divergence, levels, beyond == 0, degenerate, clipped)


def _divergences(counts: Tensor, levels: int, outside: int) -> Tensor:
    """Return KL(P‖Q) of every candidate i = levels..n at once; float64 [n - levels + 1].

    With c the counts, N their sum and what is outside of them, O = mass beyond i, M = N - O, and S and n the sum and
    the number of non-empty bins of a level, the definition expands to

        KL = 1/N · [ Σ_j c log c - Σ_levels S log(S/n) + (c'+O) log(c'+O) - c' log c' - O log(S'/n') ] + log(M/N)

    where c' is the last kept bin and S', n' belong to the last level. Every sum over bins is a difference of two
    prefix sums, which makes all candidates together 0.25 million logarithms instead of 4 million.
    """
    n = counts.numel()
    total = int(counts.sum()) + outside
    candidates = torch.arange(levels, n + 1)
    if total == 0:
        return torch.zeros(candidates.numel(), dtype=torch.float64)
    # Any unit of counts gives the same divergence; near 1 the logarithms, and with them the rounding, are smallest.
    unit = total / max(int((counts > 0).sum()), 1)
    prefix = _prefix(counts)
    filled = _prefix((counts > 0).long())
    entropy = _prefix(torch.special.xlogy(counts.double(), counts.double() / unit))

    # Bin j is in level floor(j · levels / i), so level l begins at bin ceil(l · i / levels).
    border = -(-(torch.arange(levels + 1)[None, :] * candidates[:, None]) // levels)
    sums = prefix[border].diff(dim=1).double()
    sizes = filled[border].diff(dim=1).clamp_min(1).double()
    kept = prefix[candidates].double()
    beyond = total - kept
    last = counts[candidates - 1].double()

    log_mean = torch.log((sums / (sizes * unit)).clamp_min(torch.finfo(torch.float64).tiny))
    inside = entropy[candidates] - (sums * log_mean).sum(1)
    clipped = (
        torch.special.xlogy(last + beyond, (last + beyond) / unit)
        - torch.special.xlogy(last, last / unit)
        - beyond * log_mean[:, -1]
    )
    divergence = (inside + clipped) / total + torch.log((kept / total).clamp_min(torch.finfo(torch.float64).tiny))
    # The mass beyond lands in the last bin of P; where that bin is empty, Q is 0 there.
    return torch.where((last == 0) & (beyond > 0), math.inf, divergence.clamp_min(0.0))


def _prefix(values: Tensor) -> Tensor:
    """Return the sums of the first 0, 1, .. n values."""
    return torch.cat([values.new_zeros(1), values.cumsum(0)])


def _as_counts(counts: Tensor) -> Tensor:
    """Return `counts` as int64 [n] on the CPU; a TypeError or ValueError where they are no histogram."""
    counts = torch.as_tensor(counts)
    if counts.is_floating_point() or counts.is_complex() or counts.dtype == torch.bool:
        raise TypeError(f"counts must be integers (a float histogram stops counting), got {counts.dtype}")
    counts = counts.detach().cpu().long()
    if counts.dim() != 1 or counts.numel() == 0:
        raise ValueError(f"counts must have one dimension and at least one bin, got shape {list(counts.shape)}")
    if bool((counts < 0).any()):
        raise ValueError("counts must not be negative")
    return counts
