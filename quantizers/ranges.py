"""A range of real values for each channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from quantizers.formats import NumberFormat


@dataclass(frozen=True)
class Range:
    """A range of real values, `low..high` for each channel, that codes shall cover.

    Attributes:
        low, high: float64 [C], `low <= 0 <= high`.
    """

    low: Tensor
    high: Tensor

    @classmethod
    def covering(cls, low: Tensor, high: Tensor, format: NumberFormat) -> Self:
        """Return the smallest range around `low..high` that `format` can have: it holds 0, and is symmetric if signed.

        Raises:
            ValueError: an end that is not finite, or low > high.
        """
        low, high = low.double(), high.double()
        if not bool((torch.isfinite(low) & torch.isfinite(high) & (low <= high)).all()):
            raise ValueError(f"a range needs finite ends, low <= high; got {low.tolist()} .. {high.tolist()}")
        if format.minimum < 0:
            threshold = torch.maximum(low.abs(), high.abs())
            return cls(-threshold, threshold)
        return cls(low.clamp_max(0.0), high.clamp_min(0.0))

    @classmethod
    def concatenate(cls, *ranges: Range) -> Self:
        """Return all channels of all `ranges`, in their order."""
        return cls(torch.cat([r.low for r in ranges]), torch.cat([r.high for r in ranges]))
