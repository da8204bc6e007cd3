"""The smallest and largest values of a stream, and the mean of its batches' extremes."""

from __future__ import annotations

import statistics
from typing import Self

import torch
from torch import Tensor

from quantizers.observer import Observer, axis_of, axis_tensor


class MinMaxObserver(Observer):
    """The exact minimum and maximum of a stream, and those of each of its batches.

    The mean of extremes is rounded once, so that it is the same in whatever order batches come. It does depend on
    what a batch is: that is the method's nature. Memory grows by 16 bytes a channel and batch.

    Attributes:
        count: int, the values seen, over all channels.
    """

    def __init__(self, channel_axis: int | None = None) -> None:
        super().__init__(channel_axis)
        self.count = 0
        self._minima: list[Tensor] = []  # of each batch, float64 [C]; their order carries nothing
        self._maxima: list[Tensor] = []

    def reset(self) -> None:
        """Forget everything recorded; keep the settings."""
        super().reset()
        self.count = 0
        self._minima = []
        self._maxima = []

    @property
    def batches(self) -> int:
        """The number of batches seen; empty ones are not counted."""
        return len(self._minima)

    def _record(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        if self.is_empty:
            self.minimum, self.maximum = low, high
        else:
            self.minimum = torch.minimum(self.minimum, low)
            self.maximum = torch.maximum(self.maximum, high)
        self._minima.append(low)
        self._maxima.append(high)
        self.count += rows.numel()

    def mean_extremes(self) -> tuple[Tensor, Tensor]:
        """Return the mean over batches of the batch minimum and of the batch maximum; float64 [C] each.

        Each is the exact mean, rounded once to the nearest float64.

        Raises:
            ValueError: nothing observed.
        """
        self.require_values()
        return _exact_mean(self._minima), _exact_mean(self._maxima)

    def merge(self, other: Self) -> Self:
        """Return a new observer that has seen both streams; see `Observer.merge`."""
        self._check_mergeable(other)
        result = self.fresh()
        if self.is_empty or other.is_empty:
            full = other if self.is_empty else self
            result.minimum, result.maximum = full.minimum, full.maximum
        else:
            result.minimum = torch.minimum(self.minimum, other.minimum)
            result.maximum = torch.maximum(self.maximum, other.maximum)
        result._minima = self._minima + other._minima
        result._maxima = self._maxima + other._maxima
        result.count = self.count + other.count
        return result

    def _check_mergeable(self, other: Observer) -> None:
        if type(other) is not type(self):
            raise ValueError(self.named(f"cannot merge {type(self).__name__} with {type(other).__name__}"))
        if other.channel_axis != self.channel_axis:
            raise ValueError(self.named(f"cannot merge channel axes {self.channel_axis} and {other.channel_axis}"))
        if not self.is_empty and not other.is_empty and self.channels != other.channels:
            raise ValueError(self.named(f"cannot merge {self.channels} channels with {other.channels}"))

    def to_tensors(self) -> dict[str, Tensor]:
        """Return everything recorded, as plain tensors.

        The batches' extremes are float64 [batches, C], each column in rising order: equal statistics are equal tensors,
        in whatever order batches came.
        """
        return {
            "channel_axis": axis_tensor(self.channel_axis),
            "minimum": self.minimum.clone(),
            "maximum": self.maximum.clone(),
            "count": torch.tensor(self.count),
            "batch_minima": _in_rising_order(self._minima),
            "batch_maxima": _in_rising_order(self._maxima),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Self:
        """Return the observer whose `to_tensors` is `tensors`."""
        result = cls(channel_axis=axis_of(tensors["channel_axis"]))
        result._restore(tensors)
        return result

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        if "low_sums" in tensors:  # of version 0.1.0, which kept sums in place of the batches' extremes
            raise ValueError(self.named("the statistics are of an earlier version; calibrate again"))
        self.minimum = tensors["minimum"].cpu().clone()
        self.maximum = tensors["maximum"].cpu().clone()
        self.count = int(tensors["count"])
        self._minima = list(tensors["batch_minima"].cpu().clone())
        self._maxima = list(tensors["batch_maxima"].cpu().clone())


def _exact_mean(extremes: list[Tensor]) -> Tensor:
    """Return the mean of each channel, rounded once; `extremes` has float64 [C] of each batch."""
    channels = torch.stack(extremes, dim=1).tolist()
    # `statistics.mean` adds fractions: a float sum would depend on the order of batches.
    return torch.tensor([statistics.mean(values) for values in channels], dtype=torch.float64)


def _in_rising_order(extremes: list[Tensor]) -> Tensor:
    """Return the extremes of all batches, float64 [batches, C], each column sorted; [0, 0] where there are none."""
    return torch.stack(extremes).sort(dim=0).values if extremes else torch.empty(0, 0, dtype=torch.float64)
