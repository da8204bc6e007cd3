"""A histogram of a stream that never moves a count: bins have power-of-two widths and double by merging pairs."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from quantizers.minmax_observer import MinMaxObserver
from quantizers.observer import Observer, axis_of

# A channel that has seen only zeros has no bin width yet. Far below every real exponent, so that maximum() passes it.
_NO_WIDTH = -(1 << 20)
# Below this bin width 1 / width would overflow float64; only float64 data under 2^-980 fills fewer bins for it.
_SMALLEST_EXPONENT = -1000
# float32 can hold 2^-e, and the products are exact or underflow to bin 0, while |e| stays inside.
_FLOAT32_EXPONENT = 126
# Elements at a time: the temporaries stay in the cache (2 ms for 1e6 values instead of 5), and torch does not split
# so few among threads, whose meeting after every operation takes longer than the work on a busy machine.
_CHUNK = 1 << 15


class HistogramObserver(MinMaxObserver):
    """Counts of magnitudes on either side of zero, beside the exact extremes: all that the calibration methods need.

    The bin of x is `k = floor(|x| / w)`, on the non-negative side (x >= 0, and -0.0) or the negative side (x < 0).
    The width is `w = 2^e` with the smallest e such that the largest magnitude seen, M, falls in a bin. M then lies in
    the upper half of its side's bins: more than bins/2 of them are in use. When M outgrows the bins, e
    grows by one and neighbouring pairs merge, `k -> floor(k / 2)`. Since `floor(floor(a) / 2) = floor(a / 2)`, the
    counts are those that the final width would have given from the start: they depend neither on the order of batches
    nor on how a stream is split. No count is lost, and each stays in the bin its value lies in.

    Both sides are kept because a symmetric range is read from the histogram of |x| (their sum), an asymmetric one from
    both.
    Zeros share bin 0 with the values below w; a stream of zeros alone fills bin 0 at any width.
    Memory: 16 · bins bytes a channel, and 16 bytes a channel and batch for the extremes.

    Args:
        bins: per side; a power of two, at least 2.
        channel_axis: as for `Observer`.

    Attributes:
        counts: int64 [C, 2, bins]; side 0 is x >= 0, side 1 is x < 0.

    Raises:
        ValueError: bins that are no power of two.

    >>> observer = HistogramObserver(bins=8)
    >>> observer.observe(torch.tensor([0.0, 1.0, -3.0]))   # w = 0.5: 3.0 is in bin 6 of 0..7
    >>> observer.observe(torch.tensor([7.5]))              # w = 1.0
    >>> observer.magnitudes()
    (tensor([1, 1, 0, 1, 0, 0, 0, 1]), 1.0)
    """

    def __init__(self, bins: int = 2048, channel_axis: int | None = None) -> None:
        super().__init__(channel_axis)
        if not isinstance(bins, int) or bins < 2 or bins & (bins - 1):
            raise ValueError(f"bins must be a power of two, at least 2, so that pairs can merge; got {bins!r}")
        self.bins = bins
        self.counts = torch.empty(0, 2, bins, dtype=torch.int64)
        self._exponents = torch.empty(0, dtype=torch.int64)

    def reset(self) -> None:
        """Forget everything recorded; keep the settings."""
        super().reset()
        self.counts = torch.empty(0, 2, self.bins, dtype=torch.int64)
        self._exponents = torch.empty(0, dtype=torch.int64)

    @property
    def bin_width(self) -> Tensor:
        """The width of the bins, float64 [C], powers of two; 0 where a channel has seen only zeros."""
        seen = self._exponents != _NO_WIDTH
        return torch.ldexp(seen.double(), self._exponents * seen)

    def magnitudes(self, channel: int = 0) -> tuple[Tensor, float]:
        """Return the histogram of |x| of one channel, up to the largest magnitude: counts int64 [used], bin width.

        Before anything but zeros was seen there is one bin, of width 0.

        Raises:
            ValueError: nothing observed.
        """
        self.require_values()
        used = self._used(channel, 0, 1)
        return self.counts[channel, :, :used].sum(0), float(self.bin_width[channel])

    def signed(self, channel: int = 0) -> tuple[Tensor, Tensor]:
        """Return the histogram of x of one channel, in rising order: edges float64 [n + 1], counts int64 [n].

        The outer edges are the exact minimum and maximum where those lie inside their bin.

        Raises:
            ValueError: nothing observed.
        """
        self.require_values()
        negative, positive = self._used(channel, 1), self._used(channel, 0)
        counts = torch.cat([self.counts[channel, 1, :negative].flip(0), self.counts[channel, 0, :positive]])
        edges = torch.arange(-negative, positive + 1).double() * self.bin_width[channel]
        edges[0] = edges[0].clamp_min(float(self.minimum[channel])) if negative else edges[0]
        edges[-1] = edges[-1].clamp_max(float(self.maximum[channel])) if positive else edges[-1]
        return edges, counts

    def _used(self, channel: int, *sides: int) -> int:
        """Count the bins up to the last one with a count, on any of the sides."""
        filled = self.counts[channel, list(sides)].sum(0).nonzero()
        return int(filled[-1]) + 1 if filled.numel() else 0

    def _record(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        if self.is_empty:
            self.counts = torch.zeros(low.numel(), 2, self.bins, dtype=torch.int64)
            self._exponents = torch.full((low.numel(),), _NO_WIDTH)
        super()._record(rows, low, high)
        self._grow(self._needed_exponents(torch.maximum(low.abs(), high.abs())))
        self.counts += self._count(rows)

    def _needed_exponents(self, magnitude: Tensor) -> Tensor:
        # frexp: magnitude = m · 2^x with m in [1/2, 1), hence magnitude < 2^x = bins · 2^(x - log2 bins).
        exponent = torch.frexp(magnitude).exponent.long() - (self.bins.bit_length() - 1)
        return torch.where(magnitude > 0, exponent.clamp_min(_SMALLEST_EXPONENT), _NO_WIDTH)

    def _grow(self, needed: Tensor) -> None:
        """Widen the bins to at least 2^needed, merging pairs."""
        for channel in (needed > self._exponents).nonzero().flatten().tolist():
            old = int(self._exponents[channel])
            self._exponents[channel] = needed[channel]
            if old != _NO_WIDTH:
                self.counts[channel] = merge_pairs(self.counts[channel], int(needed[channel]) - old)

    def _count(self, rows: Tensor) -> Tensor:
        channels, bins = rows.shape[0], self.bins
        exponents = torch.where(self._exponents == _NO_WIDTH, 0, self._exponents)
        if rows.dtype == torch.float32 and bool((exponents.abs() > _FLOAT32_EXPONENT).any()):
            rows = rows.double()
        inverse = torch.ldexp(torch.ones(channels, dtype=torch.float64), -exponents).to(rows)[:, None]
        total = torch.zeros(channels * 2 * bins, dtype=torch.int64, device=rows.device)
        first_bin = torch.arange(channels, dtype=torch.int32, device=rows.device)[:, None] * (2 * bins)
        columns = max(1, max(_CHUNK, channels * 2 * bins) // channels)  # fewer would cost more in `total` than here
        for part in rows.split(columns, dim=1):
            bin_index = (part.abs() * inverse).to(torch.int32)
            bin_index += (part < 0).to(torch.int32) * bins
            bin_index += first_bin
            total += torch.bincount(bin_index.reshape(-1), minlength=channels * 2 * bins)
        return total.view(channels, 2, bins).cpu()

    def merge(self, other: Self) -> Self:
        """Return a new observer that has seen both streams, with the wider bins of the two; see `Observer.merge`."""
        result = super().merge(other)
        if self.is_empty or other.is_empty:
            full = other if self.is_empty else self
            result.counts, result._exponents = full.counts.clone(), full._exponents.clone()
            return result
        result.counts, result._exponents = self.counts.clone(), self._exponents.clone()
        result._grow(other._exponents)
        addend = other.fresh()
        addend.counts, addend._exponents = other.counts.clone(), other._exponents.clone()
        addend._grow(self._exponents)
        result.counts += addend.counts
        return result

    def _check_mergeable(self, other: Observer) -> None:
        super()._check_mergeable(other)
        if isinstance(other, HistogramObserver) and other.bins != self.bins:
            raise ValueError(self.named(f"cannot merge {self.bins} bins with {other.bins}"))

    def to_tensors(self) -> dict[str, Tensor]:
        """Return everything recorded, as plain tensors: those of `MinMaxObserver`, bins, counts and bin widths."""
        return {
            **super().to_tensors(),
            "bins": torch.tensor(self.bins),
            "counts": self.counts.clone(),
            "exponents": self._exponents.clone(),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Self:
        """Return the observer whose `to_tensors` is `tensors`."""
        result = cls(bins=int(tensors["bins"]), channel_axis=axis_of(tensors["channel_axis"]))
        result._restore(tensors)
        result.counts = tensors["counts"].cpu().clone()
        result._exponents = tensors["exponents"].cpu().clone()
        return result


def merge_pairs(counts: Tensor, times: int) -> Tensor:
    """Halve the resolution of a histogram `times` times: bin k of [..., bins] goes to `k >> times`; same shape."""
    bins = counts.shape[-1]
    group = min(1 << min(times, bins.bit_length()), bins)
    merged = torch.zeros_like(counts)
    merged[..., : bins // group] = counts.unflatten(-1, (bins // group, group)).sum(-1)
    return merged
