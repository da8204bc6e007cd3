"""The ranges that calibration chose for the inputs of integer layers, over what it saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qbench.report.model.group import Group
from qbench.report.model.report_model import ReportModel
from qbench.report.model.wording import listed
from qbench.report.view import Column, View
from qbench.report.views.absence import missing, without_details
from qbench.report.views.histogram import MAX_BINS, Bin, bins
from qbench.report.views.selection import Row, blocks, bounded, chart_note, layer_names, names, of_one
from qbench.trial.details import TrialDetails

CHART_PANELS = 18
"""The layers in the chart, at most, over all groups: each is a panel."""
NO_CALIBRATION = "no scheme here calibrates its inputs"


def ranges(model: ReportModel) -> View:
    """Return the histogram of each calibrated input and its range, of each group's first trial with details."""
    rows, notes = bounded(blocks(model, of_one(_rows)))
    panels = layer_names(row for row in rows if row[7] is not None)
    return View(
        "ranges",
        "Calibrated ranges",
        "What each layer received over the calibration images: share of the values in each of at most "
        f"{MAX_BINS} bins, on a logarithmic axis; empty bins are not listed. Lines: the range that the calibration "
        "method chose; what lies outside is clipped to it. One training a scheme: that of its lowest seed.",
        (
            Column("group", "scheme"),
            Column("layer", "layer"),
            Column("method", "method"),
            Column("range_low", "range from", ".4g", "computed"),
            Column("range_high", "to", ".4g", "computed"),
            Column("bin_low", "input from", ".4g", "measured"),
            Column("bin_high", "to", ".4g", "measured"),
            Column("share", "share of the values", ".3%", "measured"),
            Column("seed", "seed", ".0f"),
        ),
        rows,
        (
            *_without_counts(rows),
            *chart_note(panels, CHART_PANELS, "layers"),
            *notes,
            *(without_details(model) if rows else ()),
        ),
        None if rows else missing(model, NO_CALIBRATION),
    )


def _rows(group: Group, seed: int, found: TrialDetails) -> list[Row]:
    return [
        (
            group.name,
            each["layer"],
            each["method"],
            each["low"],
            each["high"],
            part.low,
            part.high,
            part.share,
            seed,
        )
        for each in found.ranges
        for part in _bins(each)
    ]


def _bins(found: dict[str, Any]) -> list[Bin]:
    """Return the bins that are not empty; of an observer that counted none its extremes, without a share."""
    filled = [part for part in bins(found["counts"], found["edge_low"], found["edge_high"]) if part.share]
    return filled or [Bin(found["edge_low"], found["edge_high"], None)]


def _without_counts(rows: Sequence[Row]) -> tuple[str, ...]:
    counted = set(names(row for row in rows if row[7] is not None))
    lacking = [row for row in rows if row[7] is None]
    found = [name for name in names(lacking) if name not in counted]
    found += layer_names(row for row in lacking if row[0] in counted)
    return (
        (f"no histogram of {listed(found)}: this method observes the lowest and the highest value alone",)
        if found
        else ()
    )
