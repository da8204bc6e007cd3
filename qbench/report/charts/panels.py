"""Small multiples: the same picture for each group, or each of its layers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qbench.report.charts.scales import data, field

if TYPE_CHECKING:
    import altair as alt

PANEL = "panel"
FIRST = "first"
LINES: dict[str, Any] = {"symbolType": "stroke", "symbolStrokeWidth": 2, "symbolSize": 250}
"""A legend's symbols for lines that areas or points accompany."""
_LETTER = 7
"""Pixels of a heading's letter, about."""
_LONG, _TICKS = 25, 10
"""Letters of a legend's names that stand side by side, and ticks of an axis, at most."""


def panelled(
    rows: Sequence[dict[str, Any]], limit: int, width: int, *by: str
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows of the first `limit` panels, and the panels' names: the values of the columns `by`.

    Each row gains `panel`, and `first`: whether it is its panel's first row, for what is drawn once a panel.

    Args:
        rows: of a view.
        limit: of panels.
        width: of a panel in pixels: longer names are broken into lines.
        by: the columns of which each combination of values is a panel.
    """
    named = [{**row, PANEL: panel_name([str(row[key]) for key in by], width)} for row in rows]
    names = list(dict.fromkeys(row[PANEL] for row in named))[:limit]
    shown = [row for row in named if row[PANEL] in names]
    seen: set[str] = set()
    for row in shown:
        row[FIRST] = row[PANEL] not in seen
        seen.add(row[PANEL])
    return shown, names


def panel_name(parts: Sequence[str], width: int) -> str:
    """Return the parts in one line if they fit, else in a line or more each."""
    letters = max(8, width // _LETTER)
    text = " · ".join(parts)
    if len(text) <= letters:
        return text
    return "\n".join(line for part in parts for line in _lines(part, letters))


def _lines(text: str, letters: int) -> list[str]:
    """Return the text in lines, broken after spaces and the signs within a setting's name; no letter is lost."""
    lines = [""]
    for piece in re.split(r"(?<=[ ._=-])", text):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > letters:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def legend(names: Sequence[str], **style: Any) -> dict[str, Any]:
    """Return a legend's settings: names too long to stand side by side are one below the other, and whole."""
    long = any(len(name) > _LONG for name in names)
    return {**style, **({"columns": 1, "labelLimit": 0} if long else {})}


def epochs(last: int) -> alt.X:
    """Return the horizontal axis of epochs 1 to `last`, with a tick at every 1st, 2nd, 5th, 10th, ... of them."""
    import altair as alt

    step = next(
        step
        for decade in itertools.count()
        for step in (10**decade, 2 * 10**decade, 5 * 10**decade)
        if last <= _TICKS * step
    )
    ticks = [epoch for epoch in range(1, last + 1) if epoch % step == 0]
    axis = alt.Axis(values=ticks, format="d", grid=False)
    return alt.X(field("epoch"), title="epoch", axis=axis, scale=alt.Scale(nice=False, zero=False))


def header(title: str | None = None, **style: Any) -> alt.Header:
    """Return the heading of panels whose names may have several lines."""
    import altair as alt

    return alt.Header(title=title, labelExpr="split(datum.label, '\\n')", **style)


def facet(
    layers: Sequence[alt.Chart],
    rows: Sequence[dict[str, Any]],
    names: Sequence[str],
    *,
    size: tuple[int, int],
    columns: int,
    spacing: int = 18,
    own_x: bool = False,
) -> alt.FacetChart:
    """Return the layers, drawn for each panel of `rows`.

    Args:
        layers: without data.
        rows, names: as `panelled` returns them.
        size: width and height of a panel in pixels.
        columns: panels side by side, at most.
        spacing: pixels between panels.
        own_x: whether each panel has a horizontal axis of its own.
    """
    import altair as alt

    heading = header(labelAnchor="start", labelOrient="top", labelPadding=4)
    chart = alt.LayerChart(layer=list(layers), width=size[0], height=size[1]).facet(
        facet=alt.Facet(field(PANEL, "N"), sort=list(names), header=heading),
        data=data(list(rows)),
        columns=min(columns, len(names)),
        spacing=spacing,
    )
    return chart.resolve_scale(x="independent" if own_x else "shared")
