"""The most repeated filters as pictures, a line of them for each layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qbench.report.charts.panels import PANEL, header, panelled
from qbench.report.charts.scales import data, field, tooltips
from qbench.report.view import View
from qbench.report.views.most_repeated_filters import CHART_LAYERS, MAX_FILTERS

if TYPE_CHECKING:
    import altair as alt

_PITCH, _HEIGHT, _NAME = 42, 48, 190
"""Pixels from one picture to the next, of a line with its counts, and of the layer's name at the left."""
_FILLED, _GAP = 0.78, 0.025
"""The share of the pitch that a picture fills, and that is left free around a weight."""


def most_repeated_filters(view: View) -> alt.FacetChart:
    """Return each filter as squares, with its count below."""
    import altair as alt

    rows, layers = panelled(view.records(), CHART_LAYERS, _NAME, "group", "layer")
    cells = [cell for row in rows for cell in _cells(row)]
    left = header(labelAngle=0, labelAlign="left", labelAnchor="middle", labelBaseline="bottom", labelFontSize=11)
    return alt.LayerChart(layer=_marks(view), width=_PITCH * MAX_FILTERS, height=_HEIGHT).facet(
        data=data(cells), row=alt.Row(field(PANEL, "N"), sort=layers, header=left), spacing=8
    )


def _marks(view: View) -> list[alt.Chart]:
    import altair as alt

    across = alt.Scale(domain=[0, MAX_FILTERS], nice=False, zero=False)
    down = alt.Scale(domain=[0, _HEIGHT / _PITCH], nice=False, zero=False, reverse=True)
    chart = alt.Chart().encode(tooltip=tooltips(view, ["group", "layer", "rank", "count", "share", "bits"]))
    squares = chart.encode(
        x=alt.X(field("left"), scale=across, axis=None),
        x2=field("right"),
        y=alt.Y(field("top"), scale=down, axis=None),
        y2=field("bottom"),
    )
    counts = chart.encode(
        x=alt.X(field("middle"), scale=across), y=alt.Y(field("below"), scale=down), text=field("times", "N")
    )
    return [
        squares.mark_rect(style="positive").transform_filter("datum.bit === '1'"),
        squares.mark_rect(style="negative").transform_filter("datum.bit === '0'"),
        counts.mark_text(style="note", baseline="top").transform_filter("datum.place === 0"),
    ]


def _cells(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a square for each weight; the picture is as large for 5×5 weights as for 3×3."""
    side = _FILLED / max(row["rows"], row["columns"])
    left = row["rank"] - 1
    shared = {
        **row,
        "times": f"{row['count']:,}×",
        "middle": left + side * row["columns"] / 2,
        "below": side * row["rows"] + 0.06,
    }
    return [
        {
            **shared,
            "place": place,
            "bit": bit,
            "left": left + side * (place % row["columns"]),
            "right": left + side * (place % row["columns"] + 1) - _GAP,
            "top": side * (place // row["columns"]),
            "bottom": side * (place // row["columns"] + 1) - _GAP,
        }
        for place, bit in enumerate(row["bits"])
    ]
