"""A claim of a paper: what it says and where, and what this project does to check it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qbench.claims.judge import Judge, Values
from qbench.claims.stored import StoredSweep


@dataclass(frozen=True)
class Computed:
    """Evidence by arithmetic: `compute` returns the values at once."""

    compute: Callable[[], Values]


@dataclass(frozen=True)
class ByMeasurement:
    """Evidence by measurement: `name` is a key of `qbench.claims.measurements.MEASUREMENTS`."""

    name: str


@dataclass(frozen=True)
class Selected:
    """The values of a claim that stored sweeps hold, and these sweeps."""

    values: Values
    sweeps: tuple[StoredSweep, ...]


@dataclass(frozen=True)
class ByTraining:
    """Evidence by training: `select` looks into the stored sweeps; None if they hold nothing for the claim."""

    select: Callable[[Sequence[StoredSweep]], Selected | None]


@dataclass(frozen=True)
class Cited:
    """No evidence here: the paper quotes a value of others, which this project does not reproduce."""


def formatted(pattern: str) -> Callable[[Values], str]:
    """Return what shows values by a format string: `formatted("{value:.2f}×")`."""
    return pattern.format_map


def seeds_text(count: int) -> str:
    """Return a number of seeds in words: `1 seed`, `3 seeds`."""
    return f"{count} seed" + "s" * (count != 1)


@dataclass(frozen=True)
class Claim:
    """A claim, and how it is checked.

    Attributes:
        id: short and unique, for the command line.
        section: the heading under which it is shown.
        statement: what is claimed.
        source: the paper, and the place in it.
        paper: the value there, as text.
        evidence: where the value here comes from.
        judge: how the verdict follows from the values.
        show: returns the value here as text.
    """

    id: str
    section: str
    statement: str
    source: str
    paper: str
    evidence: Computed | ByMeasurement | ByTraining | Cited
    judge: Judge
    show: Callable[[Values], str]
