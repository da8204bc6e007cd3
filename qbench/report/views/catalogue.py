"""All views of a report, in the order in which a reader meets them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from qbench.report.model.report_model import ReportModel
from qbench.report.view import View

MakeView = Callable[[ReportModel], View]

SECTIONS: tuple[tuple[str, tuple[MakeView, ...]], ...] = ()
"""Each section's title and its views."""


def make_views(model: ReportModel) -> dict[str, View]:
    """Return every view of a report, by its name."""
    found = (make(model) for make in _all())
    return {view.name: view for view in found}


def _all() -> Iterable[MakeView]:
    return (make for _, views in SECTIONS for make in views)
