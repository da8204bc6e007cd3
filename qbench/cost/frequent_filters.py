"""The 2-D filters that a binary convolution repeats most."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from qbench.cost.filter_repetition import filter_codes


@dataclass(frozen=True)
class FrequentFilter:
    """A 2-D filter and how often a layer has it.

    Attributes:
        bits: a text of 0 (-1) and 1 (+1), row by row; the first is the top left weight.
        rows, columns: its size.
        count: of the filter and its inverse together, over all input maps of the layer.
    """

    bits: str
    rows: int
    columns: int
    count: int


def frequent_filters(weight: Tensor, most: int = 12) -> list[FrequentFilter]:
    """Return the filters that a binary convolution weight has most often, the most frequent first.

    A filter and its inverse are one, shown as the one of the two that occurs more often (of equals the one whose
    bottom right weight is -1). Of equal counts the smaller code comes first.

    Args:
        weight: [M, C, rows, columns] of -1 and +1.
        most: how many to return, at most.

    Raises:
        ValueError: as `filter_repetition`.
    """
    codes = filter_codes(weight).flatten()
    rows, columns = weight.shape[2:]
    size = prod(weight.shape[2:])
    inverse = (2**size - 1) - codes
    canonical, counts = torch.minimum(codes, inverse).unique(return_counts=True)  # in rising order
    found = []
    for place in counts.argsort(descending=True, stable=True)[:most].tolist():
        code, count = int(canonical[place]), int(counts[place])
        as_it_is = int((codes == code).sum())
        shown = code if 2 * as_it_is >= count else (2**size - 1) - code
        found.append(FrequentFilter(_bits(shown, size), rows, columns, count))
    return found


def _bits(code: int, size: int) -> str:
    return "".join(str(code >> place & 1) for place in range(size))
