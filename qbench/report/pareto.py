"""The schemes that no other beats in everything."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(points: Sequence[Sequence[float | None]]) -> list[bool | None]:
    """For each point, larger being better in every coordinate: whether no other point dominates it.

    A point dominates another if it is at least as good in every coordinate and better in one; equal points do not
    dominate each other. A point with a missing coordinate cannot be placed: None, and it dominates nothing.
    """
    whole = [[value for value in point if value is not None] for point in points]
    placed = [len(values) == len(point) for values, point in zip(whole, points, strict=True)]

    def dominated(index: int) -> bool:
        return any(
            placed[other]
            and all(theirs >= ours for theirs, ours in zip(whole[other], whole[index], strict=True))
            and whole[other] != whole[index]
            for other in range(len(whole))
        )

    return [not dominated(index) if placed[index] else None for index in range(len(points))]
