"""The filters that a binary convolution repeats most, as pictures."""

from __future__ import annotations

from qbench.report.model.group import Group
from qbench.report.model.report_model import ReportModel
from qbench.report.view import Column, View
from qbench.report.views.absence import missing, without_details
from qbench.report.views.selection import Row, blocks, bounded, chart_note, layer_names, of_one
from qbench.trial.details import TrialDetails

MAX_FILTERS = 12
"""The filters of a layer, at most."""
CHART_LAYERS = 12
"""The layers in the chart, at most, over all groups."""


def most_repeated_filters(model: ReportModel) -> View:
    """Return the most repeated filters of each binary convolution, of each group's first trial with details."""
    rows, notes = bounded(blocks(model, of_one(_rows)))
    layers = layer_names(rows)
    return View(
        "most-repeated-filters",
        "The most repeated filters",
        f"The {MAX_FILTERS} 2-D filters that a layer repeats most, over all its input maps: strong squares are "
        "+1, faint ones -1; below each how often the filter and its inverse occur together. One training a "
        "scheme: that of its lowest seed.",
        (
            Column("group", "scheme"),
            Column("layer", "layer"),
            Column("rank", "rank", ".0f", "computed"),
            Column("count", "times", ",.0f", "measured"),
            Column("share", "share of the filters", ".2%", "computed"),
            Column("rows", "rows", ".0f", "counted"),
            Column("columns", "columns", ".0f", "counted"),
            Column("bits", "weights, row by row (1: +1, 0: -1)", "", "measured"),
            Column("seed", "seed", ".0f"),
        ),
        rows,
        (*chart_note(layers, CHART_LAYERS, "layers"), *notes, *(without_details(model) if rows else ())),
        None if rows else missing(model, "no scheme here has binary convolutions"),
    )


def _rows(group: Group, seed: int, found: TrialDetails) -> list[Row]:
    return [
        (
            group.name,
            layer["layer"],
            rank,
            each["count"],
            each["count"] / (layer["filters"] * layer["input_maps"]),
            each["rows"],
            each["columns"],
            each["bits"],
            seed,
        )
        for layer in found.filters
        for rank, each in enumerate(layer["most"][:MAX_FILTERS], start=1)
    ]
