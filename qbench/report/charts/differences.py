"""Each group's difference to its reference, as a forest plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qbench.report.charts.scales import NUMBER, data, field, tooltips
from qbench.report.view import View
from qbench.report.views.selection import CHART_BARS

if TYPE_CHECKING:
    import altair as alt

_STEP = 26
_POINTS = "difference/points"


def differences(view: View) -> alt.LayerChart:
    """Return for each group its interval and its difference, filled where distinguishable, and the line of none."""
    import altair as alt

    rows = view.records()[:CHART_BARS]
    base = alt.Chart(data(rows)).encode(
        y=alt.Y(field("group", "N"), sort=[str(row["group"]) for row in rows], title=None)
    )
    x = alt.X(
        field(_POINTS), title="test accuracy minus the reference's, percentage points",
        axis=alt.Axis(format=f"+{NUMBER}", tickCount=6),
        scale=alt.Scale(zero=True, padding=14),
    )  # fmt: skip
    zero = alt.Chart(data([{}])).mark_rule(style="reference", tooltip=None).encode(x=alt.datum(0))
    whiskers = base.mark_rule(strokeWidth=1.5, tooltip=None).encode(
        x=alt.X(field(_POINTS + "_low")), x2=alt.X2(_POINTS + "_high")
    )
    ends = [
        base.mark_tick(size=8, thickness=1.5, tooltip=None).encode(x=alt.X(field(f"{_POINTS}_{end}")))
        for end in ("low", "high")
    ]
    shown = tooltips(view, [column.name for column in view.columns])
    points = [
        base.encode(x=x, tooltip=shown)
        .properties(data=data(part))
        .mark_point(filled=told, size=90, strokeWidth=1.75, shape="square")
        for told in (False, True)
        if (part := [row for row in rows if (row["difference/distinguishable"] is True) is told])
    ]
    return alt.LayerChart(layer=[zero, whiskers, *ends, *points], width="container", height=_STEP * len(rows))
