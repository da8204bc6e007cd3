"""A range that follows training: moving averages of the batches' extremes."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor

from quantizers.observer import Observer, axis_of, axis_tensor
from quantizers.ranks import largest_over_ranks, world_size


class MovingAverageObserver(Observer):
    """The exponential moving average of batch extremes: `e ← e + momentum · (batch extreme - e)`.

    The first batch sets e.

    It is for training: old batches, seen under old weights, fade. The averages depend on the order of batches and are
    not mergeable; for calibration use a mergeable observer.

    Args:
        momentum: share of the newest batch, above 0 and at most 1; 1 follows the current tensor (weights).
        channel_axis: as for `Observer`.

    Raises:
        ValueError: a momentum out of range.

    Source: Jacob et al. (CVPR 2018) section 3.1 (EMA with smoothing close to 1; their smoothing is 1 - momentum).
    """

    def __init__(self, momentum: float = 0.01, channel_axis: int | None = None) -> None:
        super().__init__(channel_axis)
        if not 0 < momentum <= 1:
            raise ValueError(f"momentum must be above 0 and at most 1, got {momentum}")
        self.momentum = momentum

    @torch.no_grad()
    def observe_on_all_ranks(self, x: Tensor) -> None:
        """Take in the batch that all ranks' `x` are together; every rank has to call it, with an empty one if need be.

        The averages are then equal on all ranks, and those of one process that saw the whole batch.

        Raises:
            ValueError: on every rank, NaN or infinity on one of them; else as `observe`.
        """
        if world_size() == 1:
            self.observe(x)
            return
        rows = self._rows(x.detach())
        channels = rows.shape[0]
        # -low and high, so that one maximum serves both; an empty batch is below every number, NaN above.
        ends = rows.new_full((2, channels), -torch.inf, dtype=torch.float64)
        if rows.numel():
            low, high = torch.aminmax(rows, dim=1)
            ends = torch.stack([-low, high]).double()
            ends = torch.where(ends.isfinite().all(0), ends, torch.inf)
        low, high = largest_over_ranks(ends).cpu()
        if bool((high == -torch.inf).all()):
            return
        if not bool((low.isfinite() & high.isfinite()).all()):
            raise ValueError(self.named("NaN or infinity among the observed values"))
        if self.channels not in (0, channels):
            raise ValueError(self.named(f"{channels} channels after batches of {self.channels}"))
        self._record(rows, 0.0 - low, high + 0.0)

    def _record(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        if self.is_empty:
            self.minimum, self.maximum = low, high
        else:
            self.minimum = self.minimum + self.momentum * (low - self.minimum)
            self.maximum = self.maximum + self.momentum * (high - self.maximum)

    def merge(self, other: Self) -> Self:
        """Raise a TypeError: the average depends on the order of batches."""
        raise TypeError(self.named("a moving average depends on the order of batches and cannot be merged"))

    def to_tensors(self) -> dict[str, Tensor]:
        """Return momentum and averages, as plain tensors."""
        return {
            "channel_axis": axis_tensor(self.channel_axis),
            "momentum": torch.tensor(self.momentum, dtype=torch.float64),
            "minimum": self.minimum.clone(),
            "maximum": self.maximum.clone(),
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Self:
        """Return the observer whose `to_tensors` is `tensors`."""
        result = cls(float(tensors["momentum"]), axis_of(tensors["channel_axis"]))
        result.minimum = tensors["minimum"].cpu().clone()
        result.maximum = tensors["maximum"].cpu().clone()
        return result
