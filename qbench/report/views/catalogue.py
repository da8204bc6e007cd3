"""All views of a report, in the order in which a reader meets them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from qbench.report.model.report_model import ReportModel
from qbench.report.view import View

MakeView = Callable[[ReportModel], View]

# A section's views in the order of the page, one a line.
DECISION: tuple[MakeView, ...] = ()
COSTS: tuple[MakeView, ...] = ()
TRAINING: tuple[MakeView, ...] = ()
BINARY_WEIGHTS: tuple[MakeView, ...] = ()
INTEGERS: tuple[MakeView, ...] = ()
EXECUTION: tuple[MakeView, ...] = ()
COMPLETENESS: tuple[MakeView, ...] = ()

SECTIONS: tuple[tuple[str, tuple[MakeView, ...]], ...] = (
    ("The decision", DECISION),
    ("What it costs", COSTS),
    ("How it trained", TRAINING),
    ("Binary weights", BINARY_WEIGHTS),
    ("Integer quantization", INTEGERS),
    ("Bit-packed execution", EXECUTION),
    ("Completeness and origin", COMPLETENESS),
)
"""Each section's title and its views."""


def make_views(model: ReportModel) -> dict[str, View]:
    """Return every view of a report, by its name."""
    found = (make(model) for make in _all())
    return {view.name: view for view in found}


def _all() -> Iterable[MakeView]:
    return (make for _, views in SECTIONS for make in views)
