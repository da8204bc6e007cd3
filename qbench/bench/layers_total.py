"""A contestant's time over all the layers of a `conv-BATCH` case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qbench.bench.cases import CaseResult
from qbench.bench.products import CONVOLUTIONS, batch_of
from qbench.bench.timing import BASELINE


@dataclass(frozen=True)
class LayersTotal:
    """One contestant's time over all the layers of a `conv-BATCH` case.

    Attributes:
        case: `conv-BATCH`.
        name: the contestant's.
        seconds: the sum of the layers' medians.
        ratio: the baseline's sum by this one's.
    """

    case: str
    name: str
    seconds: float
    ratio: float


def layers_totals(results: Sequence[CaseResult]) -> list[LayersTotal]:
    """Return the totals of every `conv-BATCH` case whose layers were all timed, in the order of the results."""
    sums: dict[str, dict[str, list[float]]] = {}
    for row in (row for result in results for row in result.rows):
        case, layer = row.case.partition(" ")[::2]
        if layer and batch_of(case, "conv"):
            sums.setdefault(case, {}).setdefault(row.name, []).append(row.seconds)
    return [
        LayersTotal(case, name, sum(seconds), sum(times[BASELINE]) / sum(seconds))
        for case, times in sums.items()
        for name, seconds in times.items()
        if len(seconds) == len(CONVOLUTIONS)
    ]
