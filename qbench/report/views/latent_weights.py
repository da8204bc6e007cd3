"""The latent weights behind binary weights, as histograms."""

from __future__ import annotations

from qbench.report.model.group import Group
from qbench.report.model.report_model import ReportModel
from qbench.report.view import Column, View
from qbench.report.views.absence import missing, without_details
from qbench.report.views.histogram import MAX_BINS, bins
from qbench.report.views.selection import Row, blocks, bounded, chart_note, names, of_one
from qbench.trial.details import TrialDetails

CHART_GROUPS = 4
"""The groups in the chart, at most: each is a column of panels."""
CHART_LAYERS = 8
"""The layers of a group in the chart, at most: each is a row of panels."""


def latent_weights(model: ReportModel) -> View:
    """Return the histogram of each binary layer's latent weights, of each group's first trial with details."""
    rows, notes = bounded(blocks(model, of_one(_rows), CHART_GROUPS))
    shown = names(rows)
    layers = list(dict.fromkeys(str(row[1]) for row in rows))
    return View(
        "latent-weights",
        "Latent weights",
        "The real numbers that training updates and whose sign is the binary weight: share of a layer's weights in "
        f"each of at most {MAX_BINS} equal bins from the layer's lowest to its highest weight. A pile at -1 or "
        "1 is weights that the scheme's clip holds; weights near 0 flip most easily. One training a scheme: that of "
        "its lowest seed.",
        (
            Column("group", "scheme"),
            Column("layer", "layer"),
            Column("bin_low", "latent weight from", ".4g", "measured"),
            Column("bin_high", "to", ".4g", "measured"),
            Column("share", "share of the weights", ".3%", "measured"),
            Column("seed", "seed", ".0f"),
        ),
        rows,
        (
            *chart_note(shown, CHART_GROUPS),
            *chart_note(layers, CHART_LAYERS, "layers"),
            *notes,
            *(without_details(model) if rows else ()),
        ),
        None if rows else missing(model, "no scheme here has binary weights"),
    )


def _rows(group: Group, seed: int, found: TrialDetails) -> list[Row]:
    return [
        (group.name, each["layer"], part.low, part.high, part.share, seed)
        for each in found.latent
        for part in bins(each["counts"], each["low"], each["high"])
    ]
