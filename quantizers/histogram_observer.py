"""A histogram of values, as fine for small magnitudes as for large ones."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor

from quantizers.minmax_observer import MinMaxObserver
from quantizers.observer import Observer, axis_of
from quantizers.octave_bins import LOWEST_OCTAVE, NOTHING, Bins, OctaveBins, is_of_zero

# Values below 2^-126 (subnormal in float32) are as good as zero, unless there is nothing much larger.
_SMALL_OCTAVE = -126
_OCTAVES = 64
# Below, 1 / width would overflow float64.
_SMALLEST_EXPONENT = -1000


class HistogramObserver(MinMaxObserver):
    """Counts of magnitudes on either side of zero, beside the exact extremes: all that the calibration methods need.

    Every octave [2^E, 2^(E+1)) has bins/2 equal bins, on the non-negative side (x >= 0, and -0.0) and on the negative
    side (x < 0). A bin is at most 2/bins times as wide as the values in it are large: one outlier among a million
    values, however far off, leaves the others as finely resolved as they were. Magnitudes below 2^-126, zeros among
    them, share one bin a side; where M, the largest, is below 2^-62, those below 2^-64 of it.

    Which bin a value falls in depends on the value alone, and which bins are joined to that of zero on M alone. Hence
    the counts depend neither on the order of batches nor on how a stream is split.

    Equal bins are made of these on demand, exactly: a bin of an octave lies in one of the bins of width `w = 2^e` that
    end at `bins · w`, whatever e. `counts`, `bin_width`, `magnitudes` and `signed` give those of the smallest e for
    which M falls in a bin: it then lies in the upper half of its side's bins. `zoom` gives the e at which the bulk of
    the values is told apart.

    Memory: 12 bytes for each bin with a count, of which there are no more than values, nor, of float32, than 254 · bins
    a channel (a million normal values fill about 22,000). And 16 bytes a channel and batch for the extremes.

    Args:
        bins: equal bins of a side; a power of two, at least 2.
        channel_axis: as for `Observer`.

    Raises:
        ValueError: bins that are no power of two.

    >>> observer = HistogramObserver(bins=8)
    >>> observer.observe(torch.tensor([0.0, 1.0, -3.0]))   # w = 0.5: 3.0 is in bin 6 of 0..7
    >>> observer.observe(torch.tensor([7.5]))              # w = 1.0
    >>> observer.magnitudes()
    (tensor([1, 1, 0, 1, 0, 0, 0, 1]), 1.0)

    Source: as many bins in each octave is the way of HdrHistogram (G. Tene).
    """

    def __init__(self, bins: int = 2048, channel_axis: int | None = None) -> None:
        super().__init__(channel_axis)
        if not isinstance(bins, int) or bins < 2 or bins & (bins - 1):
            raise ValueError(f"bins must be a power of two, at least 2, so that octaves divide; got {bins!r}")
        self.bins = bins
        self._octave_bins = OctaveBins(bins // 2)
        self._filled: list[Bins] = []  # of each channel, the bins that are not empty

    def reset(self) -> None:
        """Forget everything recorded; keep the settings."""
        super().reset()
        self._filled = []

    @property
    def counts(self) -> Tensor:
        """The counts of the equal bins of `bin_width`, int64 [C, 2, bins]; side 0 is x >= 0, side 1 is x < 0."""
        sides = [self._equal_bins(channel, self.exponent(channel)) for channel in range(self.channels)]
        return torch.stack(sides) if sides else torch.empty(0, 2, self.bins, dtype=torch.int64)

    @property
    def bin_width(self) -> Tensor:
        """The width w = 2^e of the equal bins, float64 [C]; 0 where a channel has seen only zeros."""
        widths = [self._width(channel, self.exponent(channel)) for channel in range(self.channels)]
        return torch.tensor(widths, dtype=torch.float64)

    def exponent(self, channel: int = 0) -> int:
        """Return the smallest e for which `bins` equal bins of width 2^e hold the largest magnitude of a channel."""
        return self._exponent_for(self._largest(channel))

    def zoom(self, channel: int = 0, levels: int = 1) -> int:
        """Return the e at which equal bins of width 2^e tell the bulk of a channel's values apart.

        The bulk are the magnitudes up to q, below which lie 99.9 % of those that are not zero. e is `exponent` wherever
        q is at least `max(levels, bins / 16)` bins from zero. Elsewhere outliers have made the bins too wide for it: e
        is the smallest for which 2q falls in a bin, and there are values beyond the last bin.
        """
        widest = self.exponent(channel)
        keys, counts = self._filled[channel]
        magnitude, order = keys.abs().sort()
        below = (counts[order] * ~is_of_zero(magnitude)).cumsum(0)
        total = int(below[-1])
        if total == 0:
            return widest
        last = int((below < total - total // 1000).sum())
        bulk = float(self._octave_bins.edges(magnitude[last, None], LOWEST_OCTAVE)[1])
        if bulk >= max(levels, self.bins / 16) * math.ldexp(1.0, widest):
            return widest
        return min(widest, self._exponent_for(2 * bulk))

    def magnitudes(self, channel: int = 0, exponent: int | None = None) -> tuple[Tensor, float]:
        """Return the histogram of |x| of one channel, in equal bins: counts int64 [used], bin width.

        It ends at the last bin with a count. Before anything but zeros was seen there is one bin, of width 0.

        Args:
            channel: its index.
            exponent: bins of width 2^exponent, and what lies beyond `bins` of them left out; None for `exponent()`,
                which leaves nothing out.

        Raises:
            ValueError: nothing observed.
        """
        self.require_values()
        exponent = self.exponent(channel) if exponent is None else exponent
        counts = self._equal_bins(channel, exponent).sum(0)
        return counts[: _used(counts)], self._width(channel, exponent)

    def signed(self, channel: int = 0) -> tuple[Tensor, Tensor]:
        """Return the histogram of x of one channel in equal bins, rising: edges float64 [n + 1], counts int64 [n].

        The outer edges are the exact minimum and maximum where those lie inside their bin.

        Raises:
            ValueError: nothing observed.
        """
        self.require_values()
        exponent = self.exponent(channel)
        sides = self._equal_bins(channel, exponent)
        positive, negative = _used(sides[0]), _used(sides[1])
        counts = torch.cat([sides[1, :negative].flip(0), sides[0, :positive]])
        edges = torch.arange(-negative, positive + 1).double() * self._width(channel, exponent)
        edges[0] = edges[0].clamp_min(float(self.minimum[channel])) if negative else edges[0]
        edges[-1] = edges[-1].clamp_max(float(self.maximum[channel])) if positive else edges[-1]
        return edges, counts

    def filled(self, channel: int = 0, exponent: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the bins of x of one channel that are not empty, rising: lower edges, upper edges, counts.

        float64 [n], float64 [n], int64 [n]. The outer edges are the exact minimum and maximum where those lie inside
        their bin.

        Args:
            channel: its index.
            exponent: bins narrower than 2^exponent are joined to bins of that width. None for those of the octaves.

        Raises:
            ValueError: nothing observed.
        """
        self.require_values()
        keys, counts = self._filled[channel]
        lower, upper = self._octave_bins.edges(keys, self._octaves(channel)[0])
        if exponent is not None:
            width = math.ldexp(1.0, exponent)
            index, held = self._octave_bins.equal_bin(keys, exponent)
            index = torch.where(keys < 0, ~index, index)
            lower, upper = torch.where(held, index * width, lower), torch.where(held, (index + 1) * width, upper)
            lower, place = lower.unique_consecutive(return_inverse=True)
            upper = torch.zeros_like(lower).index_copy_(0, place, upper)
            counts = torch.zeros(len(lower), dtype=torch.int64).index_add_(0, place, counts)
        lower[0] = lower[0].clamp_min(float(self.minimum[channel]))
        upper[-1] = upper[-1].clamp_max(float(self.maximum[channel]))
        return lower, upper, counts

    def filled_magnitudes(self, channel: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Return the bins of |x| of one channel that are not empty, rising: lower edges, upper edges, counts.

        As `filled`, of the octaves' own bins; but the last one ends where it ends.

        Raises:
            ValueError: nothing observed.
        """
        self.require_values()
        keys, counts = self._filled[channel]
        keys, place = keys.abs().unique(return_inverse=True)
        counts = torch.zeros(len(keys), dtype=torch.int64).index_add_(0, place, counts)
        return *self._octave_bins.edges(keys, self._octaves(channel)[0]), counts

    def _equal_bins(self, channel: int, exponent: int) -> Tensor:
        """Return the counts of bins of width 2^exponent, int64 [2, bins]; what lies beyond is left out."""
        keys, counts = self._filled[channel]
        index, held = self._octave_bins.equal_bin(keys, exponent)
        held &= index < self.bins
        total = torch.zeros(2 * self.bins, dtype=torch.int64)
        return total.index_add_(0, (index + self.bins * (keys < 0))[held], counts[held]).view(2, self.bins)

    def _largest(self, channel: int) -> float:
        """Return the largest magnitude seen."""
        return max(-float(self.minimum[channel]), float(self.maximum[channel]))

    def _width(self, channel: int, exponent: int) -> float:
        """Return 2^exponent; 0 where the channel has seen only zeros."""
        return math.ldexp(1.0, exponent) if self._largest(channel) > 0 else 0.0

    def _exponent_for(self, magnitude: float) -> int:
        """Return the smallest e for which `bins` bins of width 2^e hold `magnitude`."""
        # frexp: magnitude = m · 2^x with m in [1/2, 1), hence magnitude < 2^x = bins · 2^(x - log2 bins).
        return max(math.frexp(magnitude)[1] - (self.bins.bit_length() - 1), _SMALLEST_EXPONENT)

    def _octaves(self, channel: int) -> tuple[int, int]:
        """Return the lowest octave that has bins of its own, and the one after the highest; equal if only zeros."""
        largest = self._largest(channel)
        end = max(math.frexp(largest)[1], LOWEST_OCTAVE) if largest else LOWEST_OCTAVE
        return max(min(end - _OCTAVES, _SMALL_OCTAVE), LOWEST_OCTAVE), end

    def _record(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        before = self._filled or [NOTHING] * len(low)
        super()._record(rows, low, high)
        self._filled = [
            self._octave_bins.count(row, seen, *self._octaves(channel))
            for channel, (row, seen) in enumerate(zip(rows, before, strict=True))
        ]

    def merge(self, other: Self) -> Self:
        """Return a new observer that has seen both streams; see `Observer.merge`."""
        result = super().merge(other)
        # Nothing changes stored tensors in place: observers may share them.
        result._filled = list(self._filled or other._filled)
        if self._filled and other._filled:
            for channel, (mine, others) in enumerate(zip(self._filled, other._filled, strict=True)):
                both = torch.cat([mine[0], others[0]]), torch.cat([mine[1], others[1]])
                result._filled[channel] = self._octave_bins.count(torch.empty(0), both, *result._octaves(channel))
        return result

    def _check_mergeable(self, other: Observer) -> None:
        super()._check_mergeable(other)
        if isinstance(other, HistogramObserver) and other.bins != self.bins:
            raise ValueError(self.named(f"cannot merge {self.bins} bins with {other.bins}"))

    def to_tensors(self) -> dict[str, Tensor]:
        """Return everything recorded, as plain tensors: those of `MinMaxObserver`, and the bins that are not empty.

        `bins`; `sizes` int64 [C], of each channel the number of bins that are not empty; `keys` int32 and `counts`
        int64, channel after channel (see `OctaveBins`).
        """
        keys, counts = zip(*self._filled, strict=True) if self._filled else ((), ())
        return {
            **super().to_tensors(),
            "bins": torch.tensor(self.bins),
            "sizes": torch.tensor([len(each) for each in keys], dtype=torch.int64),
            "keys": torch.cat([torch.empty(0, dtype=torch.int32), *keys]),
            "counts": torch.cat([torch.empty(0, dtype=torch.int64), *counts]),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Self:
        """Return the observer whose `to_tensors` is `tensors`.

        Raises:
            ValueError: statistics of a version that counted in bins of one width: what an outlier hid in them is gone.
        """
        result = cls(bins=int(tensors["bins"]), channel_axis=axis_of(tensors["channel_axis"]))
        if "keys" not in tensors:
            raise ValueError("the statistics are of an earlier version, in bins of one width; calibrate again")
        result._restore(tensors)
        sizes = tensors["sizes"].tolist()
        keys, counts = (tensors[name].cpu().clone().split(sizes) for name in ("keys", "counts"))
        result._filled = list(zip(keys, counts, strict=True))
        return result


def _used(counts: Tensor) -> int:
    """Return the number of bins up to the last one with a count."""
    filled = counts.nonzero()
    return int(filled[-1]) + 1 if filled.numel() else 0
