"""Sign flips by epoch: a panel for each group, a line for each layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qbench.report.charts.panels import LINES, epochs, facet, legend, panelled
from qbench.report.charts.scales import colour, dash, field, logarithmic, tooltips
from qbench.report.view import View
from qbench.report.views.flips import CHART_GROUPS, CHART_LAYERS

if TYPE_CHECKING:
    import altair as alt

_WIDTH = 285


def flips(view: View) -> alt.FacetChart:
    """Return the share of weights that flipped, by epoch."""
    import altair as alt

    rows, groups = panelled(view.records(), CHART_GROUPS, _WIDTH, "group")
    layers = list(dict.fromkeys(str(row["layer"]) for row in rows))[:CHART_LAYERS]
    # A logarithmic axis has no place for 0: the line is interrupted there.
    rows = [{**row, "drawn": row["flips"] or None} for row in rows if row["layer"] in layers]
    domain, ticks = logarithmic(row["flips"] for row in rows)
    line = (
        alt.Chart()
        .mark_line(point={"size": 9, "shape": "circle"})
        .encode(
            x=epochs(max(row["epoch"] for row in rows)),
            y=alt.Y(field("drawn"), title="changed sign (logarithmic)", axis=alt.Axis(format="~%", values=ticks),
                    scale=alt.Scale(type="log", domain=domain, nice=False)),
            color=colour(layers, "layer", "layer").legend(**legend(layers, **LINES)),
            strokeDash=dash(layers, "layer", "layer"),
            tooltip=tooltips(view, ["group", "layer", "epoch", "flips", "seeds"]),
        )
    )  # fmt: skip
    width = _WIDTH if len(groups) > 1 else 2 * _WIDTH
    return facet([line], rows, groups, size=(width, 170), columns=2)
