"""Words for sizes and targets of curves of accuracy over size."""

from __future__ import annotations

from qbench.report.model.size_curves import Family
from qbench.report.statistics.equal_accuracy import Target

_UNITS = {"hidden": "units"}


def size_words(option: str, size: float) -> str:
    """Return `128 units` for the number of hidden units, `width 48` for another option."""
    unit = _UNITS.get(option)
    return f"{size:,.0f} {unit}" if unit else f"{option} {size:g}"


def size_heading(option: str) -> str:
    """Return the heading of a column of sizes."""
    return _UNITS.get(option, option)


def target_words(target: Target, family: Family, option: str) -> str:
    """Return where a target comes from: `fp32 at 128 units`, the same `minus 0.5 points`, or a given `97 %`."""
    if target.below is None or family.reference is None:
        return f"{100 * target.accuracy:g} %"
    curve = family.curves[family.reference]
    where = f"{curve.name} at {size_words(option, curve.sizes[family.reference_size])}"
    points = 100 * target.below
    return f"{where} minus {points:g} point{'' if points == 1 else 's'}" if points else where
