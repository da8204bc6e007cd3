"""The stored bytes of each group, by part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qbench.report.charts.scales import BYTES, ROOM, colour, data, field, tooltips
from qbench.report.view import View
from qbench.report.views.memory import PARTS
from qbench.report.views.selection import CHART_BARS

if TYPE_CHECKING:
    import altair as alt

_STEP = 26
_TOTAL = "cost/weight_bytes"


def memory(view: View) -> alt.LayerChart:
    """Return a bar for each group, its parts one after another, and the total as a number."""
    import altair as alt

    rows = view.records()[:CHART_BARS]
    parts = list(PARTS.values())
    values = [
        {**row, "part": text, "place": place, "bytes": row[name]}
        for row in rows
        for place, (name, text) in enumerate(PARTS.items())
    ]
    y = alt.Y(field("group", "N"), sort=None, title=None)
    most = max(row[_TOTAL] for row in rows)  # type: ignore[type-var]
    x = alt.X(
        field("bytes"), title="stored bytes", axis=alt.Axis(labelExpr=BYTES, tickCount=6),
        scale=alt.Scale(domain=[0, most], nice=False),
    )  # fmt: skip
    bars = (
        alt.Chart(data(values))
        .mark_bar(height={"band": 0.66})
        .encode(
            x=x,
            y=y,
            color=colour(parts, "part"),
            order=alt.Order(field("place")),
            tooltip=[
                *tooltips(view, ["group"]), alt.Tooltip("part:N"), alt.Tooltip("bytes:Q", format=","),
                *tooltips(view, [_TOTAL, "cost/weight_compression"]),
            ],
        )
    )  # fmt: skip
    totals = alt.Chart(data(rows)).mark_text(style="label", align="left", dx=5, tooltip=None)
    totals = totals.encode(x=alt.X(field(_TOTAL)), y=y, text=alt.Text(field(_TOTAL), format=","))
    return alt.LayerChart(layer=[bars, totals], width="container", padding=ROOM, height=_STEP * len(rows))
