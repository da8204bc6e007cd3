"""Accuracy over a cost of networks of several sizes, a line for each scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qbench.report.charts.scales import colour, dash, data, field, logarithmic, shape, tooltips
from qbench.report.view import View

if TYPE_CHECKING:
    import altair as alt

_HEIGHT = 340


def accuracy_by_size(view: View) -> alt.LayerChart:
    """Return points with whiskers on the lines that are read at equal accuracy, and the targets as level lines."""
    import altair as alt

    cost = next(column.name for column in view.columns if column.name.startswith("cost/"))
    rows = [row for row in view.records() if row["kind"] == "size" and row[cost] is not None]
    targets = [row for row in view.records() if row["kind"] == "target"]
    names = list(dict.fromkeys(str(row["scheme"]) for row in rows))
    x = _x(view, rows, cost)
    points = alt.Chart(data(rows))
    return alt.LayerChart(
        layer=[
            *_targets(targets),
            points.mark_rule(strokeWidth=1, tooltip=None).encode(
                x=x, y=_y(field("test/accuracy_low")), y2=field("test/accuracy_high"), color=colour(names, "scheme")
            ),
            points.mark_line(tooltip=None).encode(
                x=x, y=_y(field("curve")), color=colour(names, "scheme"), strokeDash=dash(names, "scheme").legend(None),
                order=alt.Order(field("size"), sort="ascending"),
            ),
            points.mark_point().encode(
                x=x, y=_y(field("test/accuracy")), color=colour(names, "scheme"), shape=shape(names, "scheme"),
                tooltip=tooltips(view, _told(view)),
            ),
        ],
        # The lines' patterns have no legend, for they would be drawn around its symbols; the colours keep theirs.
        resolve=alt.Resolve(legend=alt.LegendResolveMap(strokeDash="independent")),
        height=_HEIGHT,
        width="container",
    )  # fmt: skip


def _targets(targets: list[dict[str, Any]]) -> list[alt.Chart]:
    """Return the level lines, and what the first of each comparison is: the others are too near to be named, too."""
    import altair as alt

    y = _y(field("test/accuracy"))
    lines = alt.Chart(data(targets)).mark_rule(style="reference")
    lines = lines.encode(
        y=y, tooltip=[alt.Tooltip("scheme:N", title="target"), alt.Tooltip(field("test/accuracy"), format=".2%")]
    )
    firsts = list({row["comparison"]: row for row in reversed(targets)}.values())
    words = alt.Chart(data(firsts)).mark_text(style="note", align="left", baseline="bottom", dx=3, dy=-1, tooltip=None)
    return [lines, words.encode(x=alt.value(0), y=y, text="scheme:N")]


def _x(view: View, rows: list[dict[str, Any]], cost: str) -> alt.X:
    import altair as alt

    heading = next(column.heading for column in view.columns if column.name == cost)
    domain, ticks = logarithmic(row[cost] for row in rows)
    axis = alt.Axis(values=ticks, format="~s" if cost.endswith("bytes") else "~g", title=f"{heading} (logarithmic)")
    return alt.X(field(cost), axis=axis, scale=alt.Scale(type="log", domain=domain, nice=False))


def _y(shorthand: str) -> alt.Y:
    import altair as alt

    return alt.Y(
        shorthand, axis=alt.Axis(format=".1%", title="test accuracy", tickCount=6), scale=alt.Scale(zero=False)
    )


def _told(view: View) -> list[str]:
    return [column.name for column in view.columns if column.name not in ("kind", "comparison")]
