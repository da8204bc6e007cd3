"""Training curves: a line for the mean over the seeds, and a band from the lowest to the highest."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from qbench.report.charts.panels import LINES, epochs, legend
from qbench.report.charts.scales import colour, dash, data, field, logarithmic, tooltips
from qbench.report.view import View
from qbench.report.views.selection import CHART_GROUPS
from qbench.report.views.training import curves, others

if TYPE_CHECKING:
    import altair as alt

_HEIGHT = 300
_FEW, _PALE = 3, 0.1
"""With more curves than these the bands are paler: they overlap."""
_STEP, _FAR, _ROUND = 0.05, 0.1, 0.01
"""What the start of an axis is a multiple of, how far below it a value lies that is cut off, and that of the end."""


def training(view: View) -> alt.LayerChart:
    """Return a line with its band for each curve: groups that share their trainings have one in common."""
    import altair as alt

    metric = view.columns[2].name
    drawn = curves(view.rows)[:CHART_GROUPS]
    labels = {str(row[0]): _label(str(row[0]), others(row)) for row in view.rows}
    rows: list[dict[str, Any]] = [
        {**row, "curve": labels[str(row["group"])]} for row in view.records() if row["group"] in drawn
    ]
    names = list(dict.fromkeys(str(row["curve"]) for row in rows))
    y = _y(view, rows, metric)
    chart = alt.Chart().encode(x=epochs(max(row["epoch"] for row in rows)))
    opacity = _PALE if len(names) > _FEW else alt.Undefined
    band = chart.mark_area(style="band", clip=True, tooltip=None, fillOpacity=opacity)
    band = band.encode(y=alt.Y(field(f"{metric}_low"), **y), y2=field(f"{metric}_high"), color=colour(names, "curve"))
    shown = ["group", "epoch", metric, f"{metric}_low", f"{metric}_high", "seeds", "shares_training"]
    line = chart.mark_line(clip=True).encode(
        y=alt.Y(field(metric), **y),
        color=colour(names, "curve").legend(**legend(names, **LINES)),
        strokeDash=dash(names, "curve"),
        tooltip=tooltips(view, shown),
    )
    # The legend shows the marks of the first layer, and the bands would cover them: lines come first and last.
    return alt.LayerChart(layer=[line, band, line], data=data(rows), width="container", height=_HEIGHT)


def _label(group: str, shared: list[str]) -> str:
    if len(shared) > 2:
        return f"{group} and {len(shared)} more"
    return ", ".join([group, *shared])


def _y(view: View, rows: list[dict[str, Any]], metric: str) -> dict[str, Any]:
    """Return title, axis and scale: linear for shares, logarithmic for positive losses."""
    import altair as alt

    heading = view.columns[2].heading
    if view.columns[2].form.endswith("%"):
        return _from(heading, *(sorted(row[f"{metric}{end}"] for row in rows) for end in ("_low", "_high")))
    if min(row[f"{metric}_low"] for row in rows) <= 0:
        return {"title": heading}
    domain, ticks = logarithmic(row[f"{metric}{end}"] for row in rows for end in ("_low", "_high"))
    scale = alt.Scale(type="log", domain=domain, nice=False)
    return {"title": f"{heading} (logarithmic)", "axis": alt.Axis(values=ticks, format="~g"), "scale": scale}


def _from(heading: str, lows: list[float], highs: list[float]) -> dict[str, Any]:
    """Return a linear axis that starts below nine tenths of the values, where the first epochs lie far below them.

    Else a single first epoch at chance would press all that a reader compares into a line.
    """
    import altair as alt

    start = math.floor(lows[len(lows) // 10] / _STEP) * _STEP
    if lows[0] >= start - _FAR:
        return {"title": heading, "axis": alt.Axis(format="~%"), "scale": alt.Scale(zero=False)}
    end = math.ceil(highs[-1] / _ROUND) * _ROUND
    title = f"{heading} (axis from {start:.0%})".replace("%", " %")
    return {"title": title, "axis": alt.Axis(format="~%"), "scale": alt.Scale(domain=[start, end], nice=False)}
