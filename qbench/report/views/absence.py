"""Why a view of details has no rows, or has none of some groups."""

from __future__ import annotations

from collections.abc import Collection

from qbench.report.model.report_model import ReportModel
from qbench.report.model.wording import listed

_EARLIER = "were written by an earlier version, which kept no details"


def missing(model: ReportModel, otherwise: str) -> str:
    """Return why no group has details of a kind; `otherwise`: the reason where details were kept."""
    done = [group for group in model.groups if group.runs]
    if not done:
        return "no trial is done"
    without = [group.name for group in done if not group.details]
    if len(without) == len(done):
        return f"these records {_EARLIER}; run the sweep again"
    return otherwise + (f"; the records of {listed(without)} {_EARLIER}" if without else "")


def without_details(model: ReportModel, shown: Collection[str] = ()) -> tuple[str, ...]:
    """Return the note that names the groups that a view lacks because their trials have no details."""
    names = [group.name for group in model.groups if group.runs and not group.details and group.name not in shown]
    return (f"not shown: {listed(names)}, whose records {_EARLIER}; run the sweep again",) if names else ()
