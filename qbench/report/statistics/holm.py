"""Holm's correction of several p-values."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return the p-values adjusted for their number, so that at most 5 % of families have a false one below 0.05.

    With p_(1) <= ... <= p_(m): `adjusted p_(k) = max_{j <= k} min(1, (m - j + 1)·p_(j))`. None stays None and does not
    count.

    Source: Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.
    """
    order = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, index) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[index] = largest
    return adjusted
