"""Histograms of latent weights: a row of panels for each layer, a column for each group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qbench.report.charts.panels import header, panel_name
from qbench.report.charts.scales import data, field, tooltips
from qbench.report.view import View
from qbench.report.views.latent_weights import CHART_GROUPS, CHART_LAYERS

if TYPE_CHECKING:
    import altair as alt

_HEIGHT, _WIDTH, _WIDEST = 58, 440, 200
_LAYER = 90
"""Pixels for a layer's name at the left."""


def latent_weights(view: View) -> alt.FacetChart:
    """Return the shares of a layer's weights by bin; each panel has its own vertical axis."""
    import altair as alt

    records = view.records()
    groups = list(dict.fromkeys(str(row["group"]) for row in records))[:CHART_GROUPS]
    layers = list(dict.fromkeys(str(row["layer"]) for row in records))[:CHART_LAYERS]
    width = min(_WIDEST, _WIDTH // len(groups))
    columns = {group: panel_name([group], width) for group in groups}
    lines = {layer: panel_name([layer], _LAYER) for layer in layers}
    rows = [
        {**row, "column": columns[row["group"]], "line": lines[row["layer"]]}
        for row in records
        if row["group"] in groups and row["layer"] in layers
    ]
    left = header(
        "share of the layer's weights", labelAngle=0, labelAlign="left", labelAnchor="middle", labelFontSize=11
    )
    return (
        alt.LayerChart(layer=_marks(view), width=width, height=_HEIGHT)
        .facet(
            data=data(rows),
            row=alt.Row(field("line", "N"), sort=list(lines.values()), header=left),
            column=alt.Column(field("column", "N"), sort=list(columns.values()), header=header(labelFontSize=11)),
            spacing=10,
        )
        .resolve_scale(y="independent")
    )


def _marks(view: View) -> list[alt.Chart]:
    import altair as alt

    bars = (
        alt.Chart()
        .mark_rect()
        .encode(
            x=alt.X(field("bin_low"), title="latent weight", axis=alt.Axis(tickCount=3, grid=False)),
            x2=field("bin_high"),
            y=alt.Y(field("share"), title=None, axis=alt.Axis(format=".2~%", tickCount=2)),
            y2=alt.datum(0),
            tooltip=tooltips(view, ["group", "layer", "bin_low", "bin_high", "share", "seed"]),
        )
    )
    zero = alt.Chart().mark_rule(style="reference", tooltip=None).encode(x=alt.datum(0))
    return [bars, zero]
