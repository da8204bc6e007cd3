"""The view `origin`: how the results were obtained."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from qbench.report.model.group import config
from qbench.report.model.report_model import ReportModel
from qbench.report.study import Study
from qbench.report.view import Column, Value, View
from qbench.trial.config import TrialConfig

SWEEP_FILE = "sweep file"
"""The fact whose value is the sweep file's text, lines and all."""
_COLUMNS = (Column("study", "study"), Column("fact", "what"), Column("value", "value"))
# What a record says of its training, which is not its configuration: the budget that the scheme made of it.
_TRAINED = {
    "training/epochs": "epochs trained",
    "training/learning_rate_start": "initial learning rate",
    "training/learning_rate_end": "final learning rate",
    "kernel/backend": "kernel backend",
}
_MISSING_ORIGIN = (
    "an earlier version wrote this folder and kept neither command, versions, machine nor file; run the sweep again"
)


def origin(model: ReportModel) -> View:
    """Return the facts of each study: the runs, settings that trials share or vary, seeds, calibration, file."""
    rows = [(study.name, *fact) for study in model.studies for fact in _facts(study, model)]
    return View(
        name="origin",
        title="How this was obtained",
        caption="What it takes to obtain these results again. Where a setting varies, each value is "
        "followed by the groups that have it.",
        columns=_COLUMNS,
        rows=tuple(rows),
        notes=tuple(f"{study.name}: {_MISSING_ORIGIN}" for study in model.studies if not study.origin),
        missing=None if rows else "no study was read",
    )


def _facts(study: Study, model: ReportModel) -> Iterator[tuple[str, Value]]:
    yield "folder", study.place
    if study.origin.get("description"):
        yield "description", str(study.origin["description"])
    if study.origin.get("metric"):
        yield "metric", f"{study.origin['metric']}, {study.origin.get('goal')}"
    for number, run in enumerate(study.origin.get("runs") or (), start=1):
        yield f"run {number}", _run(run)
    yield "trials", _trials(study)
    yield from _settings(study, model)
    yield from _trained(study, model)
    yield from _calibration(study)
    if study.origin.get("file"):
        yield SWEEP_FILE, str(study.origin["file"])


def _run(run: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in (run.get("versions") or {}).items())
    command = run.get("command") or ()
    parts = [
        str(run.get("date") or ""),
        command if isinstance(command, str) else shlex.join(map(str, command)),
        versions,
        str(run.get("machine") or ""),
    ]
    return "; ".join(part for part in parts if part)


def _trials(study: Study) -> str:
    failed = sum(record.status == "failed" for record in study.records)
    parts = [f"{len(study.records) - failed} done", f"{failed} failed", f"{len(study.not_run)} not run"]
    return f"{study.planned} planned: {', '.join(part for part in parts if not part.startswith('0 '))}"


def _settings(study: Study, model: ReportModel) -> Iterator[tuple[str, Value]]:
    """Yield each setting of the configurations with its value, or with its values and the groups that have them."""
    rows = [*(record.row for record in study.records), *study.not_run]
    keys = [key for key in dict.fromkeys(key for row in rows for key in row) if _is_setting(key)]
    for key in keys:
        of_group = [(_name(row, study, model), row.get(key)) for row in rows if row]
        yield key, _values([value for _, value in of_group]) if key == "seed" else _by_value(of_group)


def _trained(study: Study, model: ReportModel) -> Iterator[tuple[str, Value]]:
    for metric, text in _TRAINED.items():
        found = [
            (_name(record.row, study, model), record.row[metric])
            for record in study.records
            if record.row.get(metric) is not None
        ]
        if found:
            yield text, _by_value(found)


def _is_setting(key: str) -> bool:
    return key.partition(".")[0] in TrialConfig.model_fields and key != "scheme"


def _name(row: dict[str, Any], study: Study, model: ReportModel) -> str:
    return model.name_of(config(row, study, model.studies))


def _values(values: Sequence[Any]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def _by_value(found: Sequence[tuple[str, Any]]) -> Value:
    """Return the value that all groups have, or each value with the groups that have it."""
    groups: dict[str, dict[str, None]] = {}
    for group, value in found:
        groups.setdefault(_text(value), {})[group] = None
    if len(groups) == 1:
        return next(iter(groups))
    return "; ".join(f"{value} ({', '.join(names)})" for value, names in groups.items())


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unset" if value is None else str(value)


def _calibration(study: Study) -> Iterator[tuple[str, Value]]:
    """Yield which training images calibration saw, each choice once: number, seed, and a digest of the indices."""
    chosen = dict.fromkeys(_choice(details.calibration) for details in study.details.values() if details.calibration)
    for text in chosen:
        yield "calibration", text


def _choice(calibration: dict[str, Any]) -> str:
    indices = calibration.get("indices") or ()
    digest = hashlib.sha256(",".join(map(str, indices)).encode()).hexdigest()[:16]
    return (
        f"{calibration.get('images')} training images chosen with seed {calibration.get('seed')}; "
        f"SHA-256 of their indices, joined by commas: {digest}..."
    )
