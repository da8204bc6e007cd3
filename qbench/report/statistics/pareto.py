"""The Pareto front: the points that no other point beats."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(points: Sequence[Sequence[float | None]]) -> list[bool | None]:
    """Return for each point whether no other one dominates it; larger is better in every coordinate.

    A point dominates another if it is at least as good in every coordinate and better in one; equal points do not
    dominate each other. A point with a missing coordinate gets None, and dominates nothing.
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
