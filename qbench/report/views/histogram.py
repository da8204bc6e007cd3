"""A histogram of equal bins, with at most so many bins as a picture can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qbench.report.views.selection import every

MAX_BINS = 128


@dataclass(frozen=True)
class Bin:
    """One bin: its edges, and the share of all values that lie in it; None where none were counted."""

    low: float
    high: float
    share: float | None


def bins(counts: Sequence[int], low: float, high: float, most: int = MAX_BINS) -> list[Bin]:
    """Return the bins of `counts`, of `low` to `high`; neighbours are merged until there are at most `most`.

    The last bin is narrower where the number of counts is no multiple. No bins where nothing was counted.
    """
    total = sum(counts)
    if total == 0:
        return []
    width = (high - low) / len(counts)
    step = every(len(counts), most)
    return [
        Bin(
            low + start * width,
            high if start + step >= len(counts) else low + (start + step) * width,
            sum(counts[start : start + step]) / total,
        )
        for start in range(0, len(counts), step)
    ]
