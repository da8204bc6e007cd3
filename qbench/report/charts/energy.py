"""Where the estimated energy of one inference goes: by layer, and by cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qbench.report.charts.scales import NUMBER, ROOM, colour, data, field, logarithmic, shape, tooltips
from qbench.report.view import View
from qbench.report.views.energy import CAUSES, OUTSIDE
from qbench.report.views.selection import CHART_BARS, CHART_GROUPS

if TYPE_CHECKING:
    import altair as alt

_HEIGHT, _STEP = 300, 26
_ENERGY = ("cost/energy_uj", "cost/energy_uj_low", "cost/energy_uj_high", "energy/share")


def energy_by_layer(view: View) -> alt.Chart:
    """Return a mark for each group over each layer, side by side, on a logarithmic axis."""
    import altair as alt

    rows = view.records()
    groups = list(dict.fromkeys(str(row["group"]) for row in rows))[:CHART_GROUPS]
    shown = [row for row in rows if row["group"] in groups and row["cost/energy_uj"]]
    domain, ticks = logarithmic(row["cost/energy_uj"] for row in shown)
    layers = list(dict.fromkeys(str(row["layer"]) for row in rows))
    axis = alt.Axis(labelAngle=-30, grid=True, bandPosition=0, tickBand="extent")  # lines between layers, not at them
    return alt.Chart(data(shown), width="container", height=_HEIGHT).mark_point().encode(
        x=alt.X(field("layer", "N"), sort=layers, title=None, scale=alt.Scale(paddingInner=0), axis=axis),
        xOffset=alt.XOffset(field("group", "N"), sort=groups, scale=alt.Scale(padding=0.8)),
        y=alt.Y(
            field("cost/energy_uj"), title="energy µJ (logarithmic)", axis=alt.Axis(values=ticks, format=NUMBER),
            scale=alt.Scale(type="log", domain=domain, nice=False),
        ),
        color=colour(groups, "group", among=view.groups),
        shape=shape(groups, "group", among=view.groups),
        tooltip=tooltips(view, ["group", "layer", "op", "weight_format", "input_format", *_ENERGY]),
    )  # fmt: skip


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
        scale=alt.Scale(domain=[0, 1], nice=False),
    )  # fmt: skip
    shown = tooltips(view, ["group", "cause", *_ENERGY])
    bars = alt.Chart(data(values)).mark_bar(height={"band": 0.66})
    bars = bars.encode(x=x, y=y, color=colour(causes, "cause"), order=alt.Order(field("place")), tooltip=shown)
    each = list({row["group"]: row for row in rows}.values())
    totals = alt.Chart(data(each)).mark_text(style="label", align="left", dx=5, tooltip=None)
    totals = totals.encode(x=alt.datum(1), y=y, text=alt.Text(field("energy/network_uj"), format=".4~g"))
    return alt.LayerChart(layer=[bars, totals], width="container", padding=ROOM, height=_STEP * len(each))
