"""Test accuracy against a cost, with intervals and the Pareto front."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qbench.report.charts.scales import colour, field, logarithmic, shape, tooltips
from qbench.report.view import View

if TYPE_CHECKING:
    import altair as alt

_HEIGHT = 340
_GROUPS = 8
"""With more groups than colours, colour and symbol tell schemes apart, and the tooltip the group."""


def tradeoff(view: View) -> alt.LayerChart:
    """Return points with whiskers, filled where they are on the front, and the front as steps."""
    import altair as alt

    rows, cost = view.records(), _cost(view)
    chart = alt.Chart(alt.Data(values=rows), height=_HEIGHT, width="container")
    x = _x(view, rows, cost)
    marks = [_front(chart, x, rows, cost), *_whiskers(view, chart, x, cost, rows), _points(view, chart, x, cost, rows)]
    return alt.LayerChart(layer=marks, data=alt.Data(values=rows), height=_HEIGHT, width="container")


def _cost(view: View) -> str:
    """Return the column that the x axis shows: the first cost or time."""
    return next(column.name for column in view.columns if column.name.partition("/")[0] in ("cost", "time"))


def _x(view: View, rows: list[dict[str, Any]], cost: str) -> alt.X:
    import altair as alt

    heading = next(column.heading for column in view.columns if column.name == cost)
    known = [row.get(f"{cost}{end}") for row in rows for end in ("", "_low", "_high")]
    domain, ticks = logarithmic(known)
    axis = alt.Axis(values=ticks, format="~s" if cost.endswith("bytes") else "~g", title=f"{heading} (logarithmic)")
    return alt.X(field(cost), axis=axis, scale=alt.Scale(type="log", domain=domain, nice=False))


def _y() -> alt.Y:
    import altair as alt

    axis = alt.Axis(format=".1%", title="test accuracy", tickCount=6)
    return alt.Y(field("test/accuracy"), axis=axis, scale=alt.Scale(zero=False))


def _identity(rows: list[dict[str, Any]]) -> tuple[list[str], str]:
    groups = list(dict.fromkeys(row["group"] for row in rows))
    if len(groups) <= _GROUPS:
        return groups, "group"
    return list(dict.fromkeys(row["scheme"] for row in rows)), "scheme"


def _front(chart: alt.Chart, x: alt.X, rows: list[dict[str, Any]], cost: str) -> alt.Chart:
    import altair as alt

    on = alt.Data(values=[row for row in rows if row["front"]])
    line = chart.mark_line(style="front", interpolate="step-after", tooltip=None).properties(data=on)
    # Of the data's own order the line would follow the trials.
    return line.encode(x=x, y=_y(), detail=field("test_set", "N"), order=alt.Order(field(cost), sort="ascending"))


def _whiskers(view: View, chart: alt.Chart, x: alt.X, cost: str, rows: list[dict[str, Any]]) -> list[alt.Chart]:
    import altair as alt

    names, by = _identity(rows)
    rule = chart.mark_rule(strokeWidth=1.25, opacity=0.75, tooltip=None).encode(color=colour(names, by))
    up = rule.encode(x=x, y=alt.Y(field("test/accuracy_low")), y2=field("test/accuracy_high"))
    known = [row for row in rows if row.get(f"{cost}_low") is not None and row.get(f"{cost}_high") is not None]
    if not known:
        return [up]
    across = rule.properties(data=alt.Data(values=known)).encode(x=field(f"{cost}_low"), x2=field(f"{cost}_high"), y=_y())
    return [up, across]


def _points(view: View, chart: alt.Chart, x: alt.X, cost: str, rows: list[dict[str, Any]]) -> alt.Chart:
    import altair as alt

    names, by = _identity(rows)
    shown = ["group", "test/accuracy", "test/accuracy_low", "test/accuracy_high", cost]
    shown += [column.name for column in view.columns if column.name in (f"{cost}_low", f"{cost}_high", "front")]
    return chart.mark_point(size=85, strokeWidth=1.75, strokeOpacity=1).encode(
        x=x,
        y=_y(),
        color=colour(names, by),
        shape=shape(names, by),
        fillOpacity=alt.condition(alt.datum.front, alt.value(1), alt.value(0)),
        tooltip=tooltips(view, dict.fromkeys(shown)),
    )
