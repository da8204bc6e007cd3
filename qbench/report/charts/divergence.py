"""The KL divergence over the candidate thresholds, with the one in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qbench.report.charts.panels import facet, panelled
from qbench.report.charts.scales import field, logarithmic, tooltips
from qbench.report.view import View
from qbench.report.views.ranges import CHART_PANELS

if TYPE_CHECKING:
    import altair as alt

_SIZE = (186, 100)


def divergence(view: View) -> alt.FacetChart:
    """Return a panel for each layer: a line over the thresholds, a point and a rule at the chosen one."""
    import altair as alt

    rows, names = panelled(view.records(), CHART_PANELS, _SIZE[0], "group", "layer")
    marks = alt.Chart().encode(
        x=alt.X(field("threshold"), title="threshold", axis=alt.Axis(tickCount=5, grid=False)),
        tooltip=tooltips(view, ["group", "layer", "threshold", "kl", "chosen"]),
    )
    y = _y([row["kl"] for row in rows])
    chosen = marks.transform_filter("datum.chosen")
    layers = [
        chosen.mark_rule(style="reference"),
        marks.mark_line().encode(y=y),
        chosen.mark_point().encode(y=y),
    ]
    return facet(layers, rows, names, size=_SIZE, columns=3, own_x=True)


def _y(values: list[float]) -> alt.Y:
    """Return a logarithmic axis; a linear one where a divergence is 0."""
    import altair as alt

    if min(values) <= 0:
        return alt.Y(field("kl"), title="KL, nats", axis=alt.Axis(format="~g", tickCount=4))
    domain, ticks = logarithmic(values)
    return alt.Y(
        field("kl"),
        title="KL, nats (logarithmic)",
        axis=alt.Axis(format="~g", values=ticks),
        scale=alt.Scale(type="log", domain=domain, nice=False),
    )
