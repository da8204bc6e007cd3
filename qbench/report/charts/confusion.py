"""Confusion matrices, a panel for each group; only the errors are coloured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qbench.report.charts.panels import facet, panelled
from qbench.report.charts.scales import field, tooltips
from qbench.report.view import View
from qbench.report.views.selection import CHART_GROUPS

if TYPE_CHECKING:
    import altair as alt

_NUMBERED = 10
"""With more classes there is no room for numbers."""
_COLUMNS, _SIDE = 3, 200
_MANY, _MANY_COLUMNS, _SMALL_SIDE = 6, 4, 156
"""With more groups than these, more and smaller panels stand in a line."""
_PALE = 4
"""How far the colours reach beyond the largest error where numbers stand on them: these must stay readable."""


def confusion(view: View) -> alt.FacetChart:
    """Return a square for each pair of classes that occurs."""
    import altair as alt

    rows, groups = panelled(view.records(), CHART_GROUPS, _SMALL_SIDE, "group")
    classes = sorted({row[key] for row in rows for key in ("true", "predicted")})
    numbered = len(classes) <= _NUMBERED
    ticks = classes if numbered else [each for each in classes if each % -(-len(classes) // 10) == 0]
    axis = alt.Axis(values=ticks, labelAngle=0, grid=False)
    scale = alt.Scale(domain=classes)
    cells = alt.Chart().encode(
        x=alt.X(field("predicted", "O"), title="predicted class", axis=axis, scale=scale),
        y=alt.Y(field("true", "O"), title="true class", axis=axis, scale=scale),
        tooltip=tooltips(view, ["group", "true", "predicted", "count", "share", "seeds"]),
    )  # fmt: skip
    largest = max((row["share"] for row in rows if row["true"] != row["predicted"]), default=1)
    errors = alt.Color(
        field("share"),
        title="errors, share of the true class",
        scale=alt.Scale(type="sqrt", domain=[0, largest * (_PALE if numbered else 1)], nice=False),
        legend=None if numbered else alt.Legend(format=".1~%"),
    )
    marks = [
        cells.transform_filter("datum.true === datum.predicted").mark_rect(style="negative"),
        cells.transform_filter("datum.true !== datum.predicted").mark_rect().encode(color=errors),
    ]
    if numbered:
        marks.append(cells.mark_text(style="label", fontSize=8).encode(text=alt.Text(field("count"), format=",")))
    many = len(groups) > _MANY
    side, columns = (_SMALL_SIDE, _MANY_COLUMNS) if many else (_SIDE, 2 if len(groups) == 4 else _COLUMNS)
    return facet(marks, rows, groups, size=(side, side), columns=columns, spacing=14)
