"""Numbers and lists in sentences."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 10
"""The most items that a sentence names."""


def listed(items: Sequence[str]) -> str:
    """Return `a, b and c`; of more than `LONGEST` items the first ones and how many more there are."""
    if len(items) > LONGEST:
        return f"{', '.join(items[:LONGEST])} and {len(items) - LONGEST} more"
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def number_of(count: int, noun: str) -> str:
    """Return `1 trial`, `2 trials`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def percent(fraction: float) -> str:
    """Return `98.94 %`; what is neither nothing nor all is not rounded to it."""
    return f"{_open(100 * fraction, 2)} %"


def share(fraction: float) -> str:
    """Return `93 %`; what is neither nothing nor all is not rounded to it."""
    return f"{_open(100 * fraction, 0)} %"


def points(fraction: float) -> str:
    """Return a difference of accuracies in percentage points with its sign: `+1.88`, `0.00`."""
    text = f"{100 * fraction:+.2f}"
    return "0.00" if float(text) == 0 else text


def _open(value: float, digits: int) -> str:
    """Return `value`, of 0 to 100, rounded; `less than` or `more than` where rounding would make it 0 or 100."""
    text, step = f"{value:.{digits}f}", 10.0**-digits
    if 0 < value < 100 and float(text) in (0, 100):
        return f"less than {step:.{digits}f}" if value < 50 else f"more than {100 - step:.{digits}f}"
    return text
