"""Quantization noise, clipping and sensitivity of each layer, as dots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qbench.report.charts.panels import legend
from qbench.report.charts.scales import colour, data, field, shape, tooltips
from qbench.report.view import View
from qbench.report.views.layers import CHART_GROUPS, CHART_LAYERS

if TYPE_CHECKING:
    import altair as alt

_PANELS = (
    ("weights/sqnr_db", "SQNR of weights, dB", "", 3),
    ("inputs/sqnr_db", "SQNR of inputs, dB", "", 3),
    ("inputs/clipped", "clipped inputs", "~%", 2),
    ("accuracy_change/points", "change of accuracy, points", "", 3),
)
_WIDTH, _DOT = 138, 11


def layers(view: View) -> alt.HConcatChart:
    """Return four panels over the same layers, a dot for each group."""
    import altair as alt

    records = view.records()
    groups = list(dict.fromkeys(str(row["group"]) for row in records))[:CHART_GROUPS]
    names = list(dict.fromkeys(str(row["layer"]) for row in records))[:CHART_LAYERS]
    rows = [row for row in records if row["group"] in groups and row["layer"] in names]
    height = len(names) * (_DOT * len(groups) + 8)
    panels = []
    for index, (column, title, form, ticks) in enumerate(_PANELS):
        x = alt.X(field(column), title=title, axis=alt.Axis(format=form, tickCount=ticks), scale=alt.Scale(zero=False))
        y = alt.Y(field("layer", "N"), sort=names, title=None, axis=alt.Axis(labels=index == 0, grid=True))
        dots = alt.Chart().mark_point(size=55).encode(
            x=x,
            y=y.scale(paddingInner=0.3),
            yOffset=alt.YOffset(field("group", "N"), sort=groups),
            color=colour(groups, "group", among=view.groups).legend(values=groups, **legend(groups)),
            shape=shape(groups, "group", among=view.groups),
            tooltip=tooltips(view, ["group", "layer", column, "weights/format", "inputs/format", "seeds"]),
        )  # fmt: skip
        known = data([row for row in rows if row[column] is not None])
        zero = alt.Chart(data([{}])).mark_rule(style="reference", tooltip=None).encode(x=alt.datum(0))
        marks = [zero, dots] if column == "accuracy_change/points" else [dots]
        panels.append(alt.LayerChart(layer=marks, data=known, width=_WIDTH, height=height))
    return alt.hconcat(*panels, spacing=14)
