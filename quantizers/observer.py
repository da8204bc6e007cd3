"""What calibration remembers of a stream of tensors: the contract of observers."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor


class Observer(ABC):
    """The statistics of a stream of batches, per tensor or per channel.

    An observer records and decides nothing: a calibration method is a pure function of what it recorded. The statistics
    of a mergeable observer depend only on which batches were seen, not on their order nor on how they were spread over
    observers: `a.merge(b)` equals one observer that saw both streams.

    Statistics live on the CPU, extremes as float64 (exact for every floating-point input), counts as int64.

    Attributes:
        channel_axis: dimension whose entries have statistics of their own; None for one set for the whole tensor.
        owner: who is observed, e.g. a layer's name; errors begin with it.
        minimum, maximum: float64 [C] (C = 1 per tensor): the range seen so far; empty before the first value.
    """

    minimum: Tensor
    maximum: Tensor

    def __init__(self, channel_axis: int | None = None) -> None:
        self.channel_axis = channel_axis
        self.owner = ""
        self.minimum = torch.empty(0, dtype=torch.float64)
        self.maximum = torch.empty(0, dtype=torch.float64)

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Take in one batch of any shape and floating-point (or integer) dtype; a batch without elements is no batch.

        Raises:
            ValueError: NaN or infinity in `x`, or another number of channels than before; nothing is recorded.
        """
        if x.numel() == 0:
            return
        rows = self._rows(x.detach())
        if self.channels not in (0, rows.shape[0]):
            raise ValueError(self.named(f"{rows.shape[0]} channels after batches of {self.channels}"))
        # The reduction over everything is 15 times faster than the one along a dimension.
        low, high = torch.aminmax(rows) if rows.shape[0] == 1 else torch.aminmax(rows, dim=1)
        # Adding 0.0 turns -0.0 into 0.0: which of the two a reduction returns depends on the order of elements.
        low, high = (end.reshape(-1).cpu().double() + 0.0 for end in (low, high))
        if not bool(torch.isfinite(low).all() and torch.isfinite(high).all()):
            raise ValueError(self.named("NaN or infinity among the observed values"))
        self._record(rows, low, high)

    @abstractmethod
    def _record(self, rows: Tensor, low: Tensor, high: Tensor) -> None:
        """Take in `rows` [C, M] (M > 0), whose extremes per row are `low` and `high` (finite, float64 [C])."""

    @abstractmethod
    def merge(self, other: Self) -> Self:
        """Return a new observer that has seen both streams.

        Raises:
            ValueError: the two record differently (channels, bins).
            TypeError: observers of this kind cannot be merged.
        """

    @abstractmethod
    def to_tensors(self) -> dict[str, Tensor]:
        """Return everything recorded, as plain tensors (safetensors, or `torch.load(weights_only=True)`)."""

    @classmethod
    @abstractmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Self:
        """Return the observer whose `to_tensors` is `tensors`."""

    def fresh(self) -> Self:
        """Return an observer of the same settings that has seen nothing."""
        twin = copy.copy(self)
        twin.reset()
        return twin

    def reset(self) -> None:
        """Forget everything recorded; keep the settings."""
        self.minimum = torch.empty(0, dtype=torch.float64)
        self.maximum = torch.empty(0, dtype=torch.float64)

    @property
    def channels(self) -> int:
        """The number of channels seen (1 per tensor); 0 before the first value."""
        return self.minimum.numel()

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been observed yet."""
        return self.channels == 0

    def require_values(self) -> None:
        """Raise a ValueError where nothing has been observed: an empty stream has no range."""
        if self.is_empty:
            raise ValueError(self.named("no values observed: calibrate with at least one batch that is not empty"))

    def _rows(self, x: Tensor) -> Tensor:
        """Return `x` as floating-point [C, elements per channel]."""
        if not x.is_floating_point():
            x = x.double()
        elif x.dtype.itemsize < 4:
            x = x.float()
        if self.channel_axis is None:
            return x.reshape(1, -1)
        return x.movedim(self.channel_axis, 0).reshape(x.shape[self.channel_axis], -1)

    def named(self, message: str) -> str:
        """Return `message` beginning with the owner, if there is one."""
        return f"{self.owner}: {message}" if self.owner else message


def axis_tensor(axis: int | None) -> Tensor:
    """Return a channel axis as an int64 tensor, empty for None."""
    return torch.tensor([] if axis is None else [axis], dtype=torch.int64)


def axis_of(tensor: Tensor) -> int | None:
    """Return the channel axis that `axis_tensor` stored."""
    return int(tensor) if tensor.numel() else None
