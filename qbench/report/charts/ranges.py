"""Histograms of calibrated inputs, with the range chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qbench.report.charts.panels import facet, panelled
from qbench.report.charts.scales import field, tooltips
from qbench.report.view import View
from qbench.report.views.ranges import CHART_PANELS

if TYPE_CHECKING:
    import altair as alt

_SIZE = (186, 92)
_OVERLAP = 0.75
_RANGE = ("range_low", "range_high")


def ranges(view: View) -> alt.FacetChart:
    """Return a panel for each calibrated layer: bars on a logarithmic axis, and rules at the ends of its range.

    Layers without a histogram are a panel only where no layer has one: their range, and a bar from the lowest to the
    highest input.
    """
    import altair as alt

    records = view.records()
    rows, names = panelled(
        [row for row in records if row["share"] is not None] or records, CHART_PANELS, _SIZE[0], "group", "layer"
    )
    # Neighbours overlap a little: between edges within a pixel the background would shine through.
    rows = [{**row, "right": row["bin_high"] + _OVERLAP * (row["bin_high"] - row["bin_low"])} for row in rows]
    shown = tooltips(view, ["group", "layer", "method", *_RANGE, "bin_low", "bin_high", "share"])
    x = alt.X(field("bin_low"), title="input of the layer", axis=alt.Axis(tickCount=5, grid=False))
    shares = [row["share"] for row in rows if row["share"] is not None]
    bars = alt.Chart().encode(x=x, x2=field("right"), tooltip=shown)
    if shares:
        low = 10 ** _exponent(min(shares))
        axis = alt.Axis(format="~%", values=[10.0**e for e in range(_exponent(low), 1)][::-2])
        scale = alt.Scale(type="log", domain=[low, 1], nice=False)
        y = alt.Y(field("share"), title="share (logarithmic)", axis=axis, scale=scale)
        bars = bars.mark_rect().encode(y=y, y2=alt.datum(low))
    else:
        bars = bars.mark_bar(height=10)
    ends = [alt.Chart().mark_rule(style="label", strokeWidth=1.5).encode(x=field(end), tooltip=shown) for end in _RANGE]
    once = [end.transform_filter("datum.first") for end in ends]
    return facet([bars, *once], rows, names, size=_SIZE, columns=3, own_x=True)


def _exponent(value: float) -> int:
    """Return the power of ten at or below a positive value."""
    return int(f"{value:e}".partition("e")[2])
