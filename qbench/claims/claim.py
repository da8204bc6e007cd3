"""A claim: what a paper says, where, and how this project answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qbench.claims.judge import Judge, Values
from qbench.claims.stored import StoredSweep


@dataclass(frozen=True)
class Computed:
    """Evidence by pure arithmetic: `compute` gives the values, at once."""

    compute: Callable[[], Values]


@dataclass(frozen=True)
class ByMeasurement:
    """Evidence by measurement: the name of one in `qbench.claims.measurements.MEASUREMENTS`."""

    name: str


@dataclass(frozen=True)
class Selected:
    """What a claim found in stored sweeps, and the sweeps it found it in."""

    values: Values
    sweeps: tuple[StoredSweep, ...]


@dataclass(frozen=True)
class ByTraining:
    """Evidence by training: `select` looks in the stored sweeps; None where they hold nothing for the claim."""

    select: Callable[[Sequence[StoredSweep]], Selected | None]


@dataclass(frozen=True)
class Cited:
    """No evidence here: a figure of others."""


def plain(pattern: str) -> Callable[[Values], str]:
    """Shows values by a format string, `plain("{value:.2f}×")`."""
    return pattern.format_map


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        id: short, unique, for the command line.
        section: heading under which it is shown.
        statement: what is claimed.
        source: paper and place.
        paper: the value there, as text.
        evidence: where the value here comes from.
        judge: what the verdict takes.
        show: the value here, as text.
    """

    id: str
    section: str
    statement: str
    source: str
    paper: str
    evidence: Computed | ByMeasurement | ByTraining | Cited
    judge: Judge
    show: Callable[[Values], str]
