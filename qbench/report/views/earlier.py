"""The view `earlier`: trials that a folder holds beside those of its last plan."""

from __future__ import annotations

from typing import Any

from qbench.report.earlier_trial import EarlierTrial
from qbench.report.model.group import config
from qbench.report.model.report_model import ReportModel
from qbench.report.study import Study
from qbench.report.view import Column, Value, View
from qbench.trial.naming import Identity, identity, short_names

SAME, OTHER, DAMAGED = "the code changed", "not in the plan", "damaged"
ORDER = ("seed", "test/accuracy", "why", "trial_id", "written", "status")
"""The columns behind the first, the most important first."""
_COLUMNS = (
    Column("group", "scheme"),
    Column("seed", "seed", "d"),
    Column("test/accuracy", "accuracy", ".2%", "measured"),
    Column("cost/weight_bytes", "weight bytes", ",.0f", "counted"),
    Column("status", "status"),
    Column("why", "why"),
    Column("written", "written, UTC"),
    Column("trial_id", "trial"),
    Column("folder", "folder"),
)


def earlier(model: ReportModel) -> View:
    """Return a line for each trial of an earlier plan or version; none of them is in any other view."""
    found = [(study, trial) for study in model.studies for trial in study.earlier]
    known = [(study, trial) for study, trial in found if trial.record is not None]
    configs = [_config(study, trial, model) for study, trial in known]
    labels = [study.label_of(each) for each, (study, _) in zip(configs, known, strict=True)]
    names = dict(zip((id(trial) for _, trial in known), short_names(configs, labels), strict=True))
    planned = {id(study): _planned(study, model) for study in model.studies}
    rows = tuple(_row(study, trial, names.get(id(trial)), planned[id(study)], model) for study, trial in found)
    return View(
        name="earlier",
        title="Trials of earlier plans and versions",
        caption="Results that lie in the folder and belong to no trial of its last plan, because the code that makes "
        "them, or the sweep's file, was edited since. They are compared with nothing: two versions of the code are two "
        "experiments.",
        columns=_COLUMNS,
        rows=rows,
        missing=None if rows else "the folder holds no other trial than those of its plan",
    )


def _config(study: Study, trial: EarlierTrial, model: ReportModel) -> dict[str, Any]:
    assert trial.record is not None
    return config(trial.record.row, study, model.studies)


def _planned(study: Study, model: ReportModel) -> set[tuple[Identity, Any]]:
    """Return the settings and the seed of each trial that is planned now."""
    rows = [*(record.row for record in study.records), *study.not_run]
    return {(identity(config(row, study, model.studies)), row.get("seed")) for row in rows if row}


def _row(
    study: Study, trial: EarlierTrial, name: str | None, planned: set[tuple[Identity, Any]], model: ReportModel
) -> tuple[Value, ...]:
    if trial.record is None:
        return (None, None, None, None, DAMAGED, trial.damage, trial.written, trial.trial_id, study.place)
    row = trial.record.row
    same = (identity(_config(study, trial, model)), row.get("seed")) in planned
    return (
        name,
        row.get("seed"),
        row.get("test/accuracy"),
        row.get("cost/weight_bytes"),
        trial.record.status,
        SAME if same else OTHER,
        trial.written,
        trial.trial_id,
        study.place,
    )
