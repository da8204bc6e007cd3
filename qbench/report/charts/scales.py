"""Scales and fields that several charts share."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qbench.report.charts.theme import DASHES, SHAPES
from qbench.report.view import Column, Value, View

if TYPE_CHECKING:
    import altair as alt

BYTES = "format(datum.value, '~s') + 'B'"
"""What the marks of an axis of bytes say: `200kB`."""
NUMBER = ".3~g"
"""How the marks of another axis are written; without the digits Vega would take one and write `1e+1` for 10."""
ROOM = {"left": 4, "top": 4, "bottom": 4, "right": 56}
"""The pixels around a chart whose bars end in a number: it stands in the margin, however narrow the page."""
_MOST_TICKS = 7
_MARGIN = 1.25
"""How far a logarithmic axis reaches beyond the values, as a factor."""


class _Held:
    """Rows that Altair takes for one value: it would otherwise copy and convert each value of each row."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self.rows = list(rows)


@functools.cache
def _plain_rows() -> type[alt.Data]:
    import altair as alt

    class PlainRows(alt.Data):
        def to_dict(self, *args: Any, **options: Any) -> dict[str, Any]:
            return {"values": self["values"].rows}

    return PlainRows


def data(rows: Iterable[Mapping[str, Any]]) -> alt.Data:
    """Return rows of plain values as a chart's data: most of a page's time would else go into looking at each value."""
    return _plain_rows()(values=_Held(rows))


def field(name: str, kind: str = "Q") -> str:
    """Return Altair's shorthand of a column: dots and brackets, which Vega would follow into objects, are escaped."""
    escaped = "".join(f"\\{letter}" if letter in ".[]:" else letter for letter in name)
    return f"{escaped}:{kind}"


def tooltips(view: View, names: Iterable[str]) -> list[alt.Tooltip]:
    """Return what a mark says when pointed at: columns of the view under their headings, with the unit."""
    import altair as alt

    columns = {column.name: column for column in view.columns}
    return [_tooltip(alt, columns[name]) for name in names]


def _tooltip(alt, column: Column) -> alt.Tooltip:  # type: ignore[no-untyped-def]
    if column.numeric:
        return alt.Tooltip(field(column.name), title=column.heading, format=column.form)
    return alt.Tooltip(field(column.name, "N"), title=column.heading)


def logarithmic(values: Iterable[Value]) -> tuple[list[float], list[float]]:
    """Return the domain of a logarithmic axis around the positive values, and its ticks at 1, 2 and 5 of each decade.

    Of many decades only the 1 is marked. Without a positive value the domain is [0.1, 10].
    """
    found = [float(value) for value in values if isinstance(value, int | float) and value > 0]
    low, high = (min(found) / _MARGIN, max(found) * _MARGIN) if found else (0.1, 10.0)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        ticks = [
            tick for decade in decades for factor in factors if low <= (tick := float(f"{factor}e{decade}")) <= high
        ]
        if len(ticks) <= _MOST_TICKS:
            break
    return [low, high], ticks


def colour(names: Sequence[str], name: str, title: str | None = None, among: Sequence[str] = ()) -> alt.Color:
    """Return the colour scale of the values `names` of a column; the theme has the colours.

    They are given out in the order of `names`, or of `among`, of which `names` are a part: a group then has the same
    colour in every chart. The legend has `names` alone.
    """
    import altair as alt

    scale = alt.Scale(domain=_domain(names, among))
    return alt.Color(field(name, "N"), title=title, scale=scale, legend=alt.Legend(values=list(names)))


def shape(names: Sequence[str], name: str, title: str | None = None, among: Sequence[str] = ()) -> alt.Shape:
    """Return the symbols beside `colour`: where colours repeat, they meet another symbol."""
    import altair as alt

    domain = _domain(names, among)
    scale = alt.Scale(domain=domain, range=_beside(SHAPES, domain))
    return alt.Shape(field(name, "N"), title=title, scale=scale, legend=alt.Legend(values=list(names)))


def _domain(names: Sequence[str], among: Sequence[str]) -> list[str]:
    return list(among) if set(names) <= set(among) else list(names)


def dash(names: Sequence[str], name: str, title: str | None = None) -> alt.StrokeDash:
    """Return the line patterns beside `colour`."""
    import altair as alt

    patterns = [list(pattern) for pattern in _beside(DASHES, names)]
    return alt.StrokeDash(field(name, "N"), title=title, scale=alt.Scale(domain=list(names), range=patterns))


def _beside(signs, names):  # type: ignore[no-untyped-def]
    """Return a sign for each name; each time the colours start anew (there are as many as signs) shifted by one."""
    count = len(signs)
    return [signs[(index + index // count) % count] for index in range(len(names))]
