"""Test accuracy against one cost: which groups give most for it."""

from __future__ import annotations

from collections.abc import Sequence

from qbench.report.model.group import Group
from qbench.report.model.images import on_same_images
from qbench.report.model.report_model import ReportModel
from qbench.report.model.wording import listed
from qbench.report.statistics.pareto import pareto_front
from qbench.report.view import Column, Source, Value, View

MOST_APART = 16
"""With more groups than these, marks of about equal cost lie upon each other: there is no room beside them."""
_APART = " Marks of about equal cost stand side by side."
_READING = (
    "Up and to the left is better; equal steps to the right are equal ratios. Each mark is the mean over the seeds, "
    "with the 95 % interval of its accuracy{costs}. Steps join the filled marks, which no other beats in both.{apart}"
)


def tradeoff_bytes(model: ReportModel) -> View:
    """Return test accuracy against the bytes stored for inference."""
    return _tradeoff(
        model,
        "tradeoff-bytes",
        "Accuracy against stored bytes",
        Column("cost/weight_bytes", "stored bytes", ",.0f", "counted"),
        "Bytes are counted: everything that the network keeps for inference.",
    )


def tradeoff_energy(model: ReportModel) -> View:
    """Return test accuracy against the estimated energy of one inference, from low to high."""
    return _tradeoff(
        model,
        "tradeoff-energy",
        "Accuracy against energy",
        Column("cost/energy_uj", "energy, µJ", ".4g", "estimated"),
        "Energy is estimated, from counted operations and bytes times published prices: no power was measured.",
        ", and the low and the high estimate of the cost",
    )


def tradeoff_latency(model: ReportModel) -> View:
    """Return test accuracy against the measured time of one inference."""
    return _tradeoff(
        model,
        "tradeoff-latency",
        "Accuracy against time",
        Column("time/inference_ms", "time of one inference, ms", ".4g", "measured"),
        "Time is measured, for one image on the machine of the sweep, while other trials may have run beside it.",
        ", and the quartiles of the runs' times",
    )


def _tradeoff(model: ReportModel, name: str, title: str, cost: Column, said: str, whiskers: str = "") -> View:
    done = [group for group in model.groups if group.accuracy is not None]
    having = [group for group in done if group.metrics.get(cost.name) is not None]
    bounds = _bounds(cost) if whiskers else ()
    return View(
        name,
        title,
        f"{_READING.format(costs=whiskers, apart=_APART if len(having) <= MOST_APART else '')} {said}",
        (
            Column("group", "scheme"),
            Column("scheme", "scheme alone"),
            Column("test_set", "test images, set", ".0f", "counted"),
            *_ACCURACY,
            cost,
            *bounds,
            Column("front", "not beaten in both", source="computed"),
        ),
        _rows(having, (cost, *bounds)),
        _notes(done, having, cost),
        None if having else _missing(model, done, cost.source),
    )


_ACCURACY = (
    Column("test/accuracy", "test accuracy", ".2%", "measured"),
    Column("test/accuracy_low", "95 % low", ".2%", "computed"),
    Column("test/accuracy_high", "95 % high", ".2%", "computed"),
)


def _bounds(cost: Column) -> tuple[Column, Column]:
    source: Source = cost.source
    return (
        Column(f"{cost.name}_low", "low", cost.form, source),
        Column(f"{cost.name}_high", "high", cost.form, source),
    )


def _rows(groups: Sequence[Group], costs: Sequence[Column]) -> tuple[tuple[Value, ...], ...]:
    rows: list[tuple[Value, ...]] = []
    for number, together in enumerate(on_same_images(groups, lambda group: group), start=1):
        front = pareto_front([(_mean(group), -(group.metrics[costs[0].name] or 0.0)) for group in together])
        for group, on in zip(together, front, strict=True):
            found = group.accuracy
            assert found is not None
            values = (group.metrics.get(column.name) for column in costs)
            rows.append((group.name, group.scheme, number, found.mean, found.low, found.high, *values, on))
    return tuple(rows)


def _mean(group: Group) -> float | None:
    """Return the accuracy that is held against others; none of a group with a failed check, which beats nobody."""
    return None if group.accuracy is None or group.failed_checks else group.accuracy.mean


def _notes(done: Sequence[Group], having: Sequence[Group], cost: Column) -> tuple[str, ...]:
    without = [group.name for group in done if group not in having]
    notes = [f"not shown: {listed(without)}, whose records have no {cost.name}"] if without and having else []
    failed = [group.name for group in having if group.failed_checks]
    if failed:
        notes.append(f"never on the front, for a check failed: {listed(failed)}")
    sets = len(on_same_images(having, lambda group: group))
    if sets > 1:
        notes.append(f"{sets} sets of test images, each with a front of its own: accuracies compare within a set alone")
    return tuple(notes)


def _missing(model: ReportModel, done: Sequence[Group], source: Source) -> str:
    if not done:
        return "no trial is done"
    what = "timed no inference" if source == "measured" else "kept no such cost"
    return f"these records were written by an earlier version, which {what}; run the sweep again"
