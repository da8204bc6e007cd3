"""The view `incomplete`: the trials that failed, and those that have not run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qbench.report.model.group import config
from qbench.report.model.report_model import ReportModel
from qbench.report.study import Study
from qbench.report.view import Column, Value, View

_COLUMNS = (
    Column("group", "scheme"),
    Column("seed", "seed", "d"),
    Column("status", "status"),
    Column("error", "reason"),
    Column("trial_id", "trial"),
    Column("folder", "folder"),
)


def incomplete(model: ReportModel) -> View:
    """Return a line for each trial without a result, with the reason where it failed."""
    rows = tuple(row for study in model.studies for row in (*_failed(study, model), *_not_run(study, model)))
    return View(
        name="incomplete",
        title="Trials without a result",
        caption="A trial that failed says why; its traceback lies beside its record, in the folder's trials/. "
        "`qbench sweep` with the same file tries it again, and runs those that have not run.",
        columns=_COLUMNS,
        rows=rows,
        missing=None if rows else "no trial is planned" if not model.planned else "every planned trial is done",
    )


def _failed(study: Study, model: ReportModel) -> list[tuple[Value, ...]]:
    return [
        _row(record.row, study, model, "failed", record.error) for record in study.records if record.status == "failed"
    ]


def _not_run(study: Study, model: ReportModel) -> list[tuple[Value, ...]]:
    return [_row(row, study, model, "not run", None) for row in study.not_run]


def _row(row: Mapping[str, Any], study: Study, model: ReportModel, status: str, error: str | None) -> tuple[Value, ...]:
    settings = config(row, study, model.studies)
    name = model.name_of(settings) if settings else None  # planned, and nothing is known of it
    return (name, row.get("seed"), status, error, row.get("trial_id"), study.place)
