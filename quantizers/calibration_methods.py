"""Calibration methods: which range of real values the codes shall cover, given what an observer recorded.

A method is a pure function `method(observer, format, **options) -> Range`; `@CALIBRATION_METHODS.register("name")` adds
one. For a signed (symmetric) format a range is [-t, t]; for an unsigned (asymmetric) one it is [low, high] and holds 0.

The methods' options: `percentile` (percentile), `zero_bin` (kl), `candidates` (mse).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from quantizers.affine import affine_parameters, is_symmetric
from quantizers.formats import NumberFormat
from quantizers.histogram_observer import HistogramObserver
from quantizers.kl import MUCH, DegenerateKLWarning, KLThreshold, ZeroBin, choose_threshold
from quantizers.minmax_observer import MinMaxObserver
from quantizers.observer import Observer
from quantizers.ranges import Range
from quantizers.registry import Registry

CalibrationMethod = Callable[..., Range]
"""A calibration method: `method(observer, format, **options) -> Range`."""

CALIBRATION_METHODS: Registry[CalibrationMethod] = Registry("calibration method")
"""The calibration methods by name."""

MINMAX_METHODS = frozenset({"minmax", "mean_extremes"})
"""The methods that need no histogram: a `MinMaxObserver` will do."""


@CALIBRATION_METHODS.register("minmax")
def minmax(observer: Observer, format: NumberFormat) -> Range:
    """Return the union of all batches' ranges: the smallest minimum to the largest maximum; nothing saturates.

    Raises:
        ValueError: nothing observed.
    """
    observer.require_values()
    return Range.covering(observer.minimum, observer.maximum, format)


@CALIBRATION_METHODS.register("mean_extremes")
def mean_extremes(observer: Observer, format: NumberFormat) -> Range:
    """Return the mean batch minimum to the mean batch maximum: one odd batch does not set the range.

    The range depends on what a batch is, but not on the order of batches: calibrate with batches of one size.

    Raises:
        ValueError: nothing observed, or an observer that keeps no batch extremes.
    """
    if not isinstance(observer, MinMaxObserver):
        raise ValueError(f"the mean_extremes method needs a MinMaxObserver, got {type(observer).__name__}")
    low, high = observer.mean_extremes()
    return Range.covering(low, high, format)


@CALIBRATION_METHODS.register("percentile")
def percentile(observer: Observer, format: NumberFormat, percentile: float = 99.99) -> Range:
    """Return the range that leaves `100 - percentile` percent outside (of an asymmetric one: at each end).

    Symmetric: t is the percentile of |x|. Asymmetric: high is the percentile of x and -low that of -x, so that for
    non-negative data both formats clip the same share. Within a bin values count as evenly spread, and a bin is a
    thousandth as wide as its values are large (2048 bins): outliers do not coarsen it. Ends never lie outside the
    observed extremes.

    Args:
        percentile: above 50, at most 100; 100 is min-max.

    Raises:
        ValueError: percentile out of range, nothing observed, or an observer without a histogram.
    """
    if not 50 < percentile <= 100:
        raise ValueError(f"percentile must be above 50 and at most 100, got {percentile}")
    histogram = _histogram(observer, "percentile")
    low, high = torch.zeros(2, histogram.channels, dtype=torch.float64)
    for channel in range(histogram.channels):
        minimum, maximum = float(histogram.minimum[channel]), float(histogram.maximum[channel])
        if is_symmetric(format):
            high[channel] = min(_quantile(*histogram.filled_magnitudes(channel), percentile), max(-minimum, maximum))
            low[channel] = -high[channel]
        else:
            lower, upper, counts = histogram.filled(channel)
            high[channel] = _quantile(lower, upper, counts, percentile)
            low[channel] = -_quantile(-upper.flip(0), -lower.flip(0), counts.flip(0), percentile)
    if not is_symmetric(format):
        low, high = (end.clamp(histogram.minimum, histogram.maximum) for end in (low, high))
    return Range.covering(low, high, format)


def _quantile(lower: Tensor, upper: Tensor, counts: Tensor, percent: float) -> float:
    """Return the point below which `percent` % of the counts lie, values spread evenly inside their bin."""
    below = counts.cumsum(0)
    rank = round(percent * int(below[-1]) / 100, 6)  # 99.9 % of 100,000 is 99,900, not 99,900.00000000001
    k = min(int((below < rank).sum()), counts.numel() - 1)
    before = int(below[k]) - int(counts[k])
    share = (rank - before) / max(int(counts[k]), 1)
    return float(lower[k] + (upper[k] - lower[k]) * min(max(share, 0.0), 1.0))


@CALIBRATION_METHODS.register("kl")
def kl(observer: Observer, format: NumberFormat, zero_bin: ZeroBin = "copy") -> Range:
    """Return the range up to the threshold of |x| with the smallest KL divergence, per channel; see `kl_threshold`.

    Levels: `2^(bits-1)` for signed formats (the positive half: 128 for 8 bits), `2^bits` for unsigned formats of
    data without negative values. Data of both signs in an unsigned format has about half of the codes on a side:
    the threshold t of |x| with `2^(bits-1)` levels, then [max(min, -t), min(max, t)].
    The histogram ends at the largest value observed, and the threshold is not above it. Where outliers would so leave
    the bulk of the values in less than a sixteenth of the bins, or below the first candidate, it ends at twice the
    bulk (`HistogramObserver.zoom`), and what is beyond saturates under every candidate.

    Raises:
        ValueError: nothing observed, an observer without a histogram, or no more bins in use than levels.

    Warns:
        DegenerateKLWarning: nothing is clipped, or more than a tenth of the values that are not 0, which happens where
            they are few or far from 0 (once for all channels, beginning with the observer's owner).

    Source: Migacz, 8-bit inference with TensorRT (GTC 2017, s7310).
    """
    histogram = _histogram(observer, "kl")
    low, high = torch.zeros(2, histogram.channels, dtype=torch.float64)
    degenerate, clipped = 0, 0.0
    for channel in range(histogram.channels):
        minimum, maximum = float(histogram.minimum[channel]), float(histogram.maximum[channel])
        result = kl_choice(histogram, format, zero_bin, channel)
        if result is None:
            continue
        degenerate += result.degenerate
        clipped = max(clipped, result.clipped)
        low[channel], high[channel] = max(minimum, -result.threshold), min(maximum, result.threshold)
    if degenerate:
        share = f" in {degenerate} of {histogram.channels} channels" if histogram.channels > 1 else ""
        message = histogram.named(f"the KL method clips nothing{share}: the result is min-max")
        warnings.warn(message, DegenerateKLWarning, stacklevel=2)
    if clipped > MUCH:
        where = " of one channel" if histogram.channels > 1 else ""
        message = histogram.named(
            f"the KL method clips {clipped:.0%} of the values{where}, which are few or far from 0: "
            "calibrate on more data, or by another method (percentile, mse, minmax)"
        )
        warnings.warn(message, DegenerateKLWarning, stacklevel=2)
    return Range.covering(low, high, format)


def kl_choice(
    histogram: HistogramObserver, format: NumberFormat, zero_bin: ZeroBin = "copy", channel: int = 0
) -> KLThreshold | None:
    """Return what the KL method chooses for one channel, with the divergence of every candidate; see `kl`.

    None where only zeros were observed: there is nothing to saturate.

    Raises:
        ValueError: nothing observed, or no more bins in use than levels.
    """
    histogram.require_values()
    minimum, maximum = float(histogram.minimum[channel]), float(histogram.maximum[channel])
    largest = max(-minimum, maximum)
    if largest == 0:
        return None
    one_sided = not is_symmetric(format) and minimum >= 0
    levels = 2**format.bits if one_sided else 2 ** (format.bits - 1)
    counts, width = histogram.magnitudes(channel, histogram.zoom(channel, levels))
    outside = int(histogram.filled(channel)[2].sum()) - int(counts.sum())
    return choose_threshold(counts, width, levels, zero_bin, largest, outside)


@CALIBRATION_METHODS.register("mse")
def mse(observer: Observer, format: NumberFormat, candidates: int = 128) -> Range:
    """Return the range whose quantization has the smallest mean squared error over the histogram, per channel.

    The error of a candidate is `Σ_bins count · mean over the bin of (x - x̂)²`, rounding and saturation together, with
    values evenly spread inside their bin (see `expected_error`). The candidates move an end towards 0 in `candidates`
    equal steps; where outliers leave the bulk of the values between two of these, also in as many steps from twice the
    bulk on (`HistogramObserver.zoom`). An asymmetric range moves its ends in turn. Min-max is the first candidate, and
    another range has to win by `5 / sqrt(count)` of min-max's error. That is about four standard errors of the estimate
    that the histogram gives: a handful of values does not choose by luck.

    Args:
        candidates: positions of an end; 1 is min-max.

    Raises:
        ValueError: nothing observed, an observer without a histogram, or candidates < 1.
    """
    if candidates < 1:
        raise ValueError(f"candidates must be positive, got {candidates}")
    histogram = _histogram(observer, "mse")
    low, high = torch.zeros(2, histogram.channels, dtype=torch.float64)
    for channel in range(histogram.channels):
        exponent = histogram.zoom(channel)
        lower, upper, counts = histogram.filled(channel, exponent)
        whole = Range.covering(histogram.minimum[channel, None], histogram.maximum[channel, None], format)
        best = whole
        ends = [_steps(end, candidates, math.ldexp(histogram.bins, exponent)) for end in (whole.low, whole.high)]
        if is_symmetric(format):
            best = _least_error(Range(*ends), lower, upper, counts, format)
        else:
            for _ in range(2):
                moved = Range(best.low.expand_as(ends[1]), ends[1])
                best = _least_error(moved, lower, upper, counts, format)
                moved = Range(ends[0], best.high.expand_as(ends[0]))
                best = _least_error(moved, lower, upper, counts, format)
        error = expected_error(Range.concatenate(whole, best), lower, upper, counts, format)
        total = int(counts.sum())
        chosen = best if float(error[1]) < float(error[0]) * (1 - 5 / math.sqrt(total)) else whole
        low[channel], high[channel] = chosen.low[0], chosen.high[0]
    return Range.covering(low, high, format)


def _steps(end: Tensor, candidates: int, bulk: float) -> Tensor:
    """Return `end` [1] moved towards 0 in equal steps, and ±`bulk` where that is nearer; float64 [K]."""
    shrink = torch.arange(candidates, 0, -1).double() / candidates
    if float(end.abs()) <= bulk:
        return end * shrink
    return torch.cat([end * shrink, end.sign() * bulk * shrink])


def _least_error(ranges: Range, lower: Tensor, upper: Tensor, counts: Tensor, format: NumberFormat) -> Range:
    """Return the one of `ranges` with the smallest `expected_error`."""
    best = int(expected_error(ranges, lower, upper, counts, format).argmin())  # the first, hence the widest, of a tie
    return Range(ranges.low[best, None], ranges.high[best, None])


def expected_error(ranges: Range, lower: Tensor, upper: Tensor, counts: Tensor, format: NumberFormat) -> Tensor:
    """Return the mean squared error of quantizing a histogram to `format` over each of `ranges`; float64 [K].

    With scale S, u = x / S and n = clamp(round(u), lowest, highest) (codes less the zero point),

        ∫_0^x (r - r̂)² dr = S³ · (n/12 + (u - n)³/3)

    (every whole step contributes S³/12; beyond the last code the cube grows: saturation), so a bin's mean error is
    a difference of two values of it over the bin's width. A bin without width counts at its point.

    Args:
        ranges: candidates, float64 [K].
        lower, upper, counts: the bins, [n] each; edges float64, counts int64.
        format: the codes to quantize to.
    """
    scale, zero_point = affine_parameters(ranges, format)
    step, offset = scale.double()[:, None], zero_point.double()[:, None]
    lowest, highest = format.minimum - offset, format.maximum - offset

    def nearest_code(x: Tensor) -> tuple[Tensor, Tensor]:
        u = x[None, :] / step
        return u, torch.minimum(torch.maximum(torch.round(u), lowest), highest)

    def integral(x: Tensor) -> Tensor:
        u, n = nearest_code(x)
        return step**3 * (n / 12 + (u - n) ** 3 / 3)

    u, n = nearest_code(lower)
    at_point = (step * (u - n)) ** 2
    width = upper - lower
    # Under a millionth of the edge, the difference of the integrals would be rounding noise.
    wide = width > 1e-6 * torch.maximum(lower.abs(), upper.abs())
    over_bin = (integral(upper) - integral(lower)) / torch.where(wide, width, 1.0)
    error = torch.where(wide, over_bin.clamp_min(0.0), at_point)
    weight = counts.double() / counts.sum()
    return (error * weight).sum(1)


def _histogram(observer: Observer, method: str) -> HistogramObserver:
    """Return `observer`, which must be a histogram with values; a ValueError otherwise."""
    if not isinstance(observer, HistogramObserver):
        raise ValueError(f"the {method} method needs a HistogramObserver, got {type(observer).__name__}")
    observer.require_values()
    return observer
