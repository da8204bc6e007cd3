"""Which classes each group takes for which."""

from __future__ import annotations

from collections import Counter

from qbench.report.model.group import Group
from qbench.report.model.report_model import ReportModel
from qbench.report.view import Column, View
from qbench.report.views.selection import CHART_GROUPS, Row, blocks, bounded, chart_note, names


def confusion(model: ReportModel) -> View:
    """Return each group's confusion matrix on the test images, summed over its seeds, without its zeros."""
    rows, notes = bounded(blocks(model, _rows), where="trials/")
    shown = names(rows)
    return View(
        "confusion",
        "Confusion of classes",
        "Test images of each true class by the class predicted, summed over the seeds, so that an image counts once a "
        "training. Pairs that never occur are not listed. In the chart only the errors are coloured.",
        (
            Column("group", "scheme"),
            Column("true", "true class", ".0f"),
            Column("predicted", "predicted class", ".0f", "measured"),
            Column("count", "images × seeds", ",.0f", "measured"),
            Column("share", "of the true class", ".2%", "measured"),
            Column("seeds", "seeds", ".0f", "counted"),
        ),
        rows,
        (*chart_note(shown, CHART_GROUPS), *notes),
        None if rows else "no trial is done",
    )


def _rows(group: Group) -> list[Row]:
    pairs: Counter[tuple[int, int]] = Counter()
    for trial in group.trials:
        pairs.update(zip(trial.labels, trial.predictions, strict=True))
    of_class: Counter[int] = Counter()
    for (true, _), count in pairs.items():
        of_class[true] += count
    return [
        (group.name, true, predicted, count, count / of_class[true], group.runs)
        for (true, predicted), count in sorted(pairs.items())
    ]
