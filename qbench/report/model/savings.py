"""What a group takes beside another one, in words."""

from __future__ import annotations

from qbench.report.model.group import Group

_BYTES, _ENERGY = "cost/weight_bytes", "cost/energy_uj"


def savings(group: Group, base: Group) -> str | None:
    """Return how many times fewer weight bytes and less energy `group` takes than `base`; None where nobody knows.

    None, too, where a check of either failed: what would be deployed at these costs is another network. Energy is an
    estimate with two ends: its ratio is given as the range that they allow.
    """
    if group.failed_checks or base.failed_checks:
        return None
    parts = [part for part in (_bytes(group, base), _energy(group, base)) if part]
    return " and ".join(parts) or None


def _bytes(group: Group, base: Group) -> str | None:
    mine, other = group.metrics.get(_BYTES), base.metrics.get(_BYTES)
    if not mine or not other:
        return None
    if mine == other:
        return "as many weight bytes"
    times, fewer = (other / mine, "fewer") if mine < other else (mine / other, "more")
    return f"{times:.1f} times {fewer} weight bytes" if times >= 1.05 else f"slightly {fewer} weight bytes"


def _energy(group: Group, base: Group) -> str | None:
    mine, other = _ends(group), _ends(base)
    if mine is None or other is None:
        return None
    if mine == other:
        return "the same estimated energy"
    if mine[0] <= other[1] and other[0] <= mine[1]:
        return "an estimated energy whose range overlaps"
    less = mine[1] < other[0]
    smaller, larger = (mine, other) if less else (other, mine)
    return (
        f"{_range(larger[0] / smaller[1], larger[1] / smaller[0])} times {'less' if less else 'more'} estimated energy"
    )


def _ends(group: Group) -> tuple[float, float] | None:
    """Return the low and the high estimate in µJ; the middle for both where it is all there is."""
    low, mid, high = group.bounds(_ENERGY)
    if low and high:
        return low, high
    return (mid, mid) if mid else None


def _range(low: float, high: float) -> str:
    first, last = f"{low:.1f}", f"{high:.1f}"
    return first if first == last else f"{first} to {last}"
