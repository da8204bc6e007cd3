"""The compact letter display: groups that share a letter are not distinguishable."""

from __future__ import annotations

from collections.abc import Collection
from string import ascii_lowercase


def letters(count: int, distinguishable: Collection[tuple[int, int]]) -> list[str]:
    """Return the letters of `count` groups; two share one exactly if their pair is not in `distinguishable`.

    Insert and absorb: one column holds all groups; each distinguishable pair splits every column that has both into two,
    without the one and without the other; a column that another contains goes.

    Source: Piepho, An algorithm for a letter-based representation of all-pairwise comparisons, JCGS 13, 2004.

    Args:
        count: of groups; letters are given in their order, so sort the groups from the best.
        distinguishable: pairs (i, j) of indices, in either order.
    """
    columns: list[frozenset[int]] = [frozenset(range(count))] if count else []
    for first, second in distinguishable:
        split: list[frozenset[int]] = []
        for column in columns:
            if first in column and second in column:
                split += [column - {first}, column - {second}]
            else:
                split.append(column)
        columns = [
            c for i, c in enumerate(split) if c and not any(c < d or (c == d and j < i) for j, d in enumerate(split))
        ]
    columns.sort(key=sorted)
    return ["".join(_name(index) for index, column in enumerate(columns) if group in column) for group in range(count)]


def _name(index: int) -> str:
    """Return a, b, ..., z, then a1, b1, ..."""
    cycle, place = divmod(index, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(cycle) if cycle else "")
