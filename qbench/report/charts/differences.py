"""Each group's difference to its reference, as a forest plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qbench.report.charts.scales import field, tooltips
from qbench.report.view import View

if TYPE_CHECKING:
    import altair as alt

_STEP = 26
_POINTS = "difference/points"


def differences(view: View) -> alt.LayerChart:
    """Return for each group its interval and its difference, filled where distinguishable, and the line of none."""
    import altair as alt

    rows = view.records()
    base = alt.Chart(alt.Data(values=rows)).encode(y=alt.Y(field("group", "N"), sort=None, title=None))
    x = alt.X(
        field(_POINTS), title="test accuracy minus the reference's, percentage points", axis=alt.Axis(format="+~g"),
        scale=alt.Scale(zero=True),
    )  # fmt: skip
    zero = alt.Chart(alt.Data(values=[{}])).mark_rule(style="reference", tooltip=None).encode(x=alt.datum(0))
    whiskers = base.mark_rule(strokeWidth=1.5, tooltip=None).encode(
        x=f"{field(_POINTS + '_low')}", x2=_POINTS + "_high"
    )
    ends = [
        base.mark_tick(size=8, thickness=1.5, tooltip=None).encode(x=field(f"{_POINTS}_{end}"))
        for end in ("low", "high")
    ]
    filled = alt.condition("datum['difference/distinguishable'] === true", alt.value(1), alt.value(0))
    points = base.mark_point(size=90, strokeWidth=1.75, strokeOpacity=1, shape="square").encode(
        x=x, fillOpacity=filled, tooltip=tooltips(view, [column.name for column in view.columns])
    )
    return alt.LayerChart(layer=[zero, whiskers, *ends, points], width="container", height=_STEP * len(rows))
