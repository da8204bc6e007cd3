"""Where the estimated energy of one inference goes: by layer, and by cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qbench.report.charts.scales import NUMBER, colour, field, logarithmic, shape, tooltips
from qbench.report.view import View
from qbench.report.views.energy import CAUSES, OUTSIDE
from qbench.report.views.selection import CHART_BARS, CHART_GROUPS

if TYPE_CHECKING:
    import altair as alt

_HEIGHT, _STEP = 300, 26
_ENERGY = ("cost/energy_uj", "cost/energy_uj_low", "cost/energy_uj_high", "energy/share")


def energy_by_layer(view: View) -> alt.LayerChart:
    """Return a line over the layers for each group, on a logarithmic axis."""
    import altair as alt

    rows = view.records()
    groups = list(dict.fromkeys(str(row["group"]) for row in rows))[:CHART_GROUPS]
    shown = [row for row in rows if row["group"] in groups and row["cost/energy_uj"]]
    domain, ticks = logarithmic(row["cost/energy_uj"] for row in shown)
    tilted = alt.Axis(labelAngle=-30)
    layers = list(dict.fromkeys(str(row["layer"]) for row in rows))
    lines = alt.Chart(alt.Data(values=shown)).encode(
        x=alt.X(field("layer", "N"), sort=layers, title=None, scale=alt.Scale(padding=0.3), axis=tilted),
        y=alt.Y(
            field("cost/energy_uj"), title="energy µJ (logarithmic)", axis=alt.Axis(values=ticks, format=NUMBER),
            scale=alt.Scale(type="log", domain=domain, nice=False),
        ),
        color=colour(groups, "group"),
        tooltip=tooltips(view, ["group", "layer", "op", "weight_format", "input_format", *_ENERGY]),
    )  # fmt: skip
    known = alt.Data(values=[row for row in shown if row["layer"] != OUTSIDE])
    line = lines.mark_line(tooltip=None).properties(data=known)
    points = lines.mark_point().encode(shape=shape(groups, "group"))
    return alt.LayerChart(layer=[line, points], width="container", height=_HEIGHT)


def energy_by_cause(view: View) -> alt.LayerChart:
    """Return a full bar for each group, divided by cause, with the network's energy as a number."""
    import altair as alt

    groups = list(dict.fromkeys(row["group"] for row in view.records()))[:CHART_BARS]
    rows = [row for row in view.records() if row["group"] in groups]
    causes = [cause for cause in (*CAUSES.values(), OUTSIDE) if any(row["cause"] == cause for row in rows)]
    values = [{**row, "place": causes.index(str(row["cause"]))} for row in rows]
    y = alt.Y(field("group", "N"), sort=None, title=None)
    axis = alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1])
    x = alt.X(
        field("energy/share"), title="share of the network's energy, and its µJ", axis=axis,
        scale=alt.Scale(domain=[0, 1.16], nice=False),
    )  # fmt: skip
    shown = tooltips(view, ["group", "cause", *_ENERGY])
    bars = alt.Chart(alt.Data(values=values)).mark_bar(height={"band": 0.66})
    bars = bars.encode(x=x, y=y, color=colour(causes, "cause"), order=alt.Order(field("place")), tooltip=shown)
    each = list({row["group"]: row for row in rows}.values())
    totals = alt.Chart(alt.Data(values=each)).mark_text(style="label", align="left", dx=5, tooltip=None)
    totals = totals.encode(x=alt.datum(1), y=y, text=alt.Text(field("energy/network_uj"), format=".4~g"))
    return alt.LayerChart(layer=[bars, totals], width="container", height=_STEP * len(each))
