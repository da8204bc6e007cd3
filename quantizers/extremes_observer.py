"""The smallest and largest values of a stream, and the mean of its batches' extremes."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from quantizers.exact_sum import ExactSum
from quantizers.observer import Observer, axis_of, axis_tensor


class ExtremesObserver(Observer):
    """Exact running minimum and maximum, and the sums of the batches' minima and maxima.

    The sums are exact (not floating point), so that the mean of extremes is the same in whatever order batches come.
    It does depend on what a batch is: that is the rule's nature.

    Attributes:
        batches: int, the batches seen (empty ones are not counted).
        count: int, the values seen, over all channels.
    """

    def __init__(self, channel_axis: int | None = None) -> None:
        super().__init__(channel_axis)
        self.batches = 0
        self.count = 0
        self._low_sums: list[ExactSum] = []
        self._high_sums: list[ExactSum] = []

    def reset(self) -> None:
        super().reset()
        self.batches = 0
        self.count = 0
        self._low_sums = []
        self._high_sums = []

    def _record(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        if self.is_empty:
            self.minimum, self.maximum = low, high
            self._low_sums = [ExactSum() for _ in range(low.numel())]
            self._high_sums = [ExactSum() for _ in range(low.numel())]
        else:
            self.minimum = torch.minimum(self.minimum, low)
            self.maximum = torch.maximum(self.maximum, high)
        for total, value in zip(self._low_sums, low.tolist(), strict=True):
            total.add(value)
        for total, value in zip(self._high_sums, high.tolist(), strict=True):
            total.add(value)
        self.batches += 1
        self.count += rows.numel()

    def mean_extremes(self) -> tuple[Tensor, Tensor]:
        """Mean over batches of the batch minimum and of the batch maximum; float64 [C] each.

        Raises:
            ValueError: nothing observed.
        """
        self.require_values()
        low = [total.mean(self.batches) for total in self._low_sums]
        high = [total.mean(self.batches) for total in self._high_sums]
        return torch.tensor(low, dtype=torch.float64), torch.tensor(high, dtype=torch.float64)

    def merge(self, other: Self) -> Self:
        self._check_mergeable(other)
        result = self.fresh()
        if self.is_empty or other.is_empty:
            full = other if self.is_empty else self
            result.minimum, result.maximum = full.minimum, full.maximum
            result._low_sums, result._high_sums = list(map(_copy, full._low_sums)), list(map(_copy, full._high_sums))
        else:
            result.minimum = torch.minimum(self.minimum, other.minimum)
            result.maximum = torch.maximum(self.maximum, other.maximum)
            result._low_sums = [a + b for a, b in zip(self._low_sums, other._low_sums, strict=True)]
            result._high_sums = [a + b for a, b in zip(self._high_sums, other._high_sums, strict=True)]
        result.batches = self.batches + other.batches
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
        return {
            "channel_axis": axis_tensor(self.channel_axis),
            "minimum": self.minimum.clone(),
            "maximum": self.maximum.clone(),
            "batches": torch.tensor(self.batches),
            "count": torch.tensor(self.count),
            "low_sums": _stack(self._low_sums),
            "high_sums": _stack(self._high_sums),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Self:
        result = cls(channel_axis=axis_of(tensors["channel_axis"]))
        result._restore(tensors)
        return result

    def _restore(self, tensors: dict[str, Tensor]) -> None:
        self.minimum = tensors["minimum"].cpu().clone()
        self.maximum = tensors["maximum"].cpu().clone()
        self.batches = int(tensors["batches"])
        self.count = int(tensors["count"])
        self._low_sums = [ExactSum.from_tensor(row) for row in tensors["low_sums"].cpu()]
        self._high_sums = [ExactSum.from_tensor(row) for row in tensors["high_sums"].cpu()]


def _copy(total: ExactSum) -> ExactSum:
    return total + ExactSum()


def _stack(sums: list[ExactSum]) -> Tensor:
    return torch.stack([total.to_tensor() for total in sums]) if sums else torch.empty(0, dtype=torch.uint8)
