"""The view `overview`: a line for each group, with accuracy, costs and executions side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qbench.report.model.group import Group
from qbench.report.model.report_model import ReportModel
from qbench.report.view import Column, Source, Value, View
from qbench.report.views.overview_notes import INTERVALS, notes
from qbench.trial.metrics import METRICS

Cell = Callable[[Group], Value]
OVERVIEW = "overview"
"""The view's name: where a report has room for one table, it is this one."""


@dataclass(frozen=True)
class _Shown:
    """A column, a group's value in it, the value that goes without saying, and whether it stays without any other."""

    column: Column
    value: Cell
    usual: Value = None
    always: bool = False


ORDER = (
    "test/accuracy",
    "letters",
    "failed",
    "not_run",
    "test/accuracy_low",
    "test/accuracy_high",
    "cost/weight_bytes",
    "cost/energy_uj",
    "pareto",
    "cost/weight_compression",
    "kernel/agreement",
    "cost/energy_compression",
    "runs",
    "cost/quantized_share",
    "test/accuracy_over",
    "front_probability",
    "time/inference_ms",
    "filters/unique_fraction",
    "time/train_s",
)
"""The columns behind the first, the most important first: what a narrow table shows. See `importance`."""


def importance(model: ReportModel) -> tuple[str, ...]:
    """Return `ORDER`, with what must not be missed first: packed predictions that differ, unequal numbers of runs."""
    first = []
    agreements = [group.metrics.get("kernel/agreement") for group in model.groups]
    if any(agreement is not None and agreement < 1 for agreement in agreements):
        first.append("kernel/agreement")
    if any(group.failed_checks for group in model.groups):
        first.append("failed_checks")
    if len({group.runs for group in model.groups}) > 1:
        first.append("runs")
    return tuple(dict.fromkeys(["test/accuracy", "letters", *first, *ORDER]))


def overview(model: ReportModel, names: Sequence[str] | None = None) -> View:
    """Return the table of all groups; a column in which no group has a value is left out.

    Args:
        model: what was read.
        names: of the columns behind the first, in this order, which may be any metric of the trials; None for the
            table's own. Notes are about the columns shown.
    """
    rows = [[shown.value(group) for shown in _COLUMNS] for group in model.groups]
    kept = [
        shown
        for i, shown in enumerate(_COLUMNS)
        if shown.always or any(row[i] not in (None, shown.usual) for row in rows)
    ]
    if names is not None:
        own = {shown.column.name: shown for shown in _COLUMNS}
        kept = [
            _COLUMNS[0],
            *(own.get(name) or _of_metric(model, name) for name in names if name != _COLUMNS[0].column.name),
        ]
    return View(
        name=OVERVIEW,
        title="All groups",
        caption="A line is a scheme, with the settings in which it differs from others: means over its seeds.",
        columns=tuple(shown.column for shown in kept),
        rows=tuple(tuple(shown.value(group) for shown in kept) for group in model.groups),
        notes=tuple(notes(model, {shown.column.name for shown in kept})),
        missing=None if rows else "no trial is done, and nothing is known of those that are planned",
    )


def _of_metric(model: ReportModel, name: str) -> _Shown:
    """Return a column of a metric that the table does not have by itself."""
    metric = METRICS.get(name)
    share = metric is not None and metric.unit == "%"
    unit = f" {metric.unit}" if metric is not None and metric.unit not in ("", "%") else ""
    source: Source = "measured" if metric is None or metric.source == "measured" else "estimated"
    heading = f"{metric.label}{unit}" if metric is not None else name
    values = [value for group in model.groups if (value := group.metrics.get(name)) is not None]
    form = ".2%" if share else ",.0f" if all(float(value).is_integer() for value in values) else ",.4g"
    return _Shown(Column(name, heading, form, source), _metric(name))


def _accuracy(end: str) -> Cell:
    """Return what shows an end of a group's accuracy, or its mean."""
    return lambda group: None if group.accuracy is None else getattr(group.accuracy, end)


def _interval_over(group: Group) -> Value:
    """Return what the accuracy's interval is over."""
    return None if group.accuracy is None else INTERVALS[group.accuracy.method]


def _metric(name: str) -> Cell:
    return lambda group: group.metrics.get(name)


_COLUMNS = (
    _Shown(Column("group", "scheme"), lambda group: group.name, always=True),
    _Shown(Column("test/accuracy", "accuracy", ".2%", "measured"), _accuracy("mean"), always=True),
    _Shown(Column("letters", "letters", "", "computed"), lambda group: group.letters),
    _Shown(Column("test/accuracy_low", "95 % low", ".2%", "computed"), _accuracy("low")),
    _Shown(Column("test/accuracy_high", "95 % high", ".2%", "computed"), _accuracy("high")),
    _Shown(Column("test/accuracy_over", "interval over", "", "computed"), _interval_over, INTERVALS["crossed"]),
    _Shown(Column("cost/weight_bytes", "weight bytes", ",.0f", "counted"), _metric("cost/weight_bytes")),
    _Shown(Column("cost/weight_compression", "×", ".1f", "computed"), _metric("cost/weight_compression")),
    _Shown(Column("cost/energy_uj", "energy µJ", ".3g", "estimated"), _metric("cost/energy_uj")),
    _Shown(Column("cost/energy_compression", "×", ".1f", "computed"), _metric("cost/energy_compression")),
    _Shown(Column("cost/quantized_share", "quantized MACs", ".2%", "counted"), _metric("cost/quantized_share")),
    _Shown(Column("filters/unique_fraction", "unique filters", ".1%", "measured"), _metric("filters/unique_fraction")),
    _Shown(Column("kernel/agreement", "kernel agrees", ".2%", "measured"), _metric("kernel/agreement")),
    _Shown(Column("failed_checks", "check", "", "computed"), lambda group: "FAILED" if group.failed_checks else None),
    _Shown(Column("time/inference_ms", "latency ms", ".3g", "measured"), _metric("time/inference_ms")),
    _Shown(Column("time/train_s", "training s", ".1f", "measured"), _metric("time/train_s")),
    _Shown(Column("runs", "runs", "d", "counted"), lambda group: group.runs, always=True),
    _Shown(Column("failed", "failed", "d", "counted"), lambda group: len(group.failed), 0),
    _Shown(Column("not_run", "not run", "d", "counted"), lambda group: group.not_run, 0),
    _Shown(Column("pareto", "Pareto", "", "computed"), lambda group: group.pareto),
    _Shown(Column("front_probability", "on front", ".1%", "computed"), lambda group: group.front_probability),
)
COLUMNS = tuple(shown.column for shown in _COLUMNS)
"""Every column that the table can have by itself, the first one included."""
