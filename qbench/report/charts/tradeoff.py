"""Test accuracy against a cost, with intervals and the Pareto front."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from qbench.report.charts.scales import BYTES, NUMBER, data, field, logarithmic, shape, tooltips
from qbench.report.view import View
from qbench.report.views.tradeoff import MOST_APART

if TYPE_CHECKING:
    import altair as alt

_HEIGHT, _SIZE = 340, 85
_GROUPS = 8
"""With more groups than colours, colour and symbol tell schemes apart, and the tooltip the group."""
_APART, _MOST_APART = 12, 60
"""Pixels between marks of equal cost, and between the first and the last of them at most."""
_EQUAL = 1.01
_ACCURACY = "test/accuracy"

Records = list[dict[str, Any]]


def tradeoff(view: View) -> alt.LayerChart:
    """Return points with whiskers, filled where they are on the front, and the front as steps.

    Marks of the same or nearly the same cost would hide each other: they stand side by side.
    """
    import altair as alt

    rows = view.records()
    cost = next(column.name for column in view.columns if column.name.partition("/")[0] in ("cost", "time"))
    axes = _axes(view, rows, cost)
    layers = [axes.front(rows)]
    places = list(_side_by_side(rows, cost))
    layers += [mark for shift, part in places for mark in axes.whiskers(part, shift)]
    layers += [axes.points(part, shift) for shift, part in places]
    return alt.LayerChart(layer=layers, height=_HEIGHT, width="container")


def _side_by_side(rows: Records, cost: str) -> Iterator[tuple[float, Records]]:
    """Yield the rows by how many pixels their marks are moved aside."""
    moved: dict[float, Records] = {}
    for equal in _of_equal_cost(rows, cost):
        apart = min(_APART, _MOST_APART / len(equal))
        for index, row in enumerate(equal):
            moved.setdefault(apart * (index - (len(equal) - 1) / 2), []).append(row)
    yield from moved.items()


def _of_equal_cost(rows: Records, cost: str) -> list[Records]:
    """Return the rows whose marks would lie upon each other together: one within 1 % of the next in cost.

    Of many rows each is alone, so that none is moved.
    """
    if len(rows) > MOST_APART:
        return [[row] for row in rows]
    ordered = sorted(rows, key=lambda row: row[cost])
    parts = [ordered[:1]]
    for before, row in pairwise(ordered):
        if row[cost] <= _EQUAL * before[cost]:
            parts[-1].append(row)
        else:
            parts.append([row])
    return parts


@dataclass(frozen=True)
class _Axes:
    """What all layers share: the view, its cost, the axes, and the column that colour and symbol show."""

    view: View
    cost: str
    x: alt.X
    y: alt.Y
    names: list[str]
    by: str

    def front(self, rows: Records) -> alt.Chart:
        """Return the steps, in the cost's order: in the data's own they would follow the trials."""
        import altair as alt

        on = alt.Chart(data([row for row in rows if row["front"]]))
        line = on.mark_line(style="front", interpolate="step-after", tooltip=None)
        order = alt.Order(field(self.cost), sort="ascending")
        return line.encode(x=self.x, y=self.y, detail=alt.Detail(field("test_set", "N")), order=order)

    def whiskers(self, rows: Records, shift: float) -> Iterator[alt.Chart]:
        """Yield the intervals of the accuracies, and the ranges of the costs where they are known."""
        import altair as alt

        colour = alt.Color(**self._identity())
        rule: dict[str, Any] = {"strokeWidth": 1.25, "opacity": 0.7, "tooltip": None}
        up = alt.Chart(data(rows)).mark_rule(xOffset=shift, **rule)
        yield up.encode(x=self.x, y=alt.Y(field(f"{_ACCURACY}_low")), y2=alt.Y2(f"{_ACCURACY}_high"), color=colour)
        low, high = f"{self.cost}_low", f"{self.cost}_high"
        known = [row for row in rows if None not in (row.get(low), row.get(high))]
        if known:
            across = alt.Chart(data(known)).mark_rule(**rule)
            yield across.encode(x=alt.X(field(low)), x2=alt.X2(high), y=self.y, color=colour)

    def points(self, rows: Records, shift: float) -> alt.Chart:
        """Return the means."""
        import altair as alt

        shown = ("group", _ACCURACY, f"{_ACCURACY}_low", f"{_ACCURACY}_high", self.cost, f"{self.cost}_low")
        wanted = (*shown, f"{self.cost}_high", "front")
        names = [column.name for column in self.view.columns if column.name in wanted]
        mark = alt.Chart(data(rows)).mark_point(filled=False, size=_SIZE, strokeWidth=1.75, xOffset=shift)
        return mark.encode(
            x=self.x,
            y=self.y,
            stroke=alt.Stroke(**self._identity()),
            fill=alt.Fill(**self._identity()),
            shape=shape(self.names, self.by),
            fillOpacity=alt.FillOpacityValue(0, condition={"test": "datum.front === true", "value": 1}),
            tooltip=tooltips(self.view, names),
        )

    def _identity(self) -> dict[str, Any]:
        import altair as alt

        return {"shorthand": field(self.by, "N"), "title": None, "scale": alt.Scale(domain=self.names)}


def _axes(view: View, rows: Records, cost: str) -> _Axes:
    import altair as alt

    heading = next(column.heading for column in view.columns if column.name == cost)
    domain, ticks = logarithmic(row.get(f"{cost}{end}") for row in rows for end in ("", "_low", "_high"))
    written: dict[str, Any] = {"labelExpr": BYTES} if cost.endswith("bytes") else {"format": NUMBER}
    across = alt.Axis(values=ticks, title=f"{heading} (logarithmic)", **written)
    up = alt.Axis(format=".1%", title="test accuracy", tickCount=6)
    groups = list(dict.fromkeys(row["group"] for row in rows))
    schemes = list(dict.fromkeys(row["scheme"] for row in rows))
    few = len(groups) <= _GROUPS
    return _Axes(
        view,
        cost,
        alt.X(field(cost), axis=across, scale=alt.Scale(type="log", domain=domain, nice=False)),
        alt.Y(field(_ACCURACY), axis=up, scale=alt.Scale(zero=False)),
        groups if few else schemes,
        "group" if few else "scheme",
    )
