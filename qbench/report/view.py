"""A view of a report: a named table of plain values, which every renderer shows and no renderer computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Value = str | int | float | bool | None
Source = Literal["counted", "estimated", "measured", "computed", "setting"]
"""Where a column's values come from: `counted` from shapes and formats; `estimated` from counts and published prices;
`measured` on a machine; `computed` from the others (a statistic, a ratio); `setting` of the trials."""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: the metric's or setting's name: `test/accuracy`; the key in JSON and CSV.
        heading: for a reader, with the unit: `energy µJ`.
        form: how a number is written, a format specification of Python's; `.2%` writes a fraction as `98.94 %`.
        source: where the values come from.
        aside: whether it holds sentences, which the page writes below the table instead of into a column.
    """

    name: str
    heading: str
    form: str = ""
    source: Source = "setting"
    aside: bool = False

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers, which are flush right."""
        return bool(self.form)

    def text(self, value: Value) -> str:
        """Return a value for a reader; `-` for None."""
        if value is None:
            return "-"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, str) or not self.form:
            return str(value)
        return format(value, self.form).replace("%", " %")


@dataclass(frozen=True)
class View:
    """One table, and what a reader must know to read it.

    Attributes:
        name: in `--format json`, as a file's name, as an anchor: `overview`, `tradeoff-bytes`.
        title: for a heading.
        caption: how to read it, a sentence or two.
        columns: of the table.
        rows: a value for each column.
        notes: what holds of these rows alone, a sentence each.
        missing: why there are no rows; None where there are.
        groups: the names of all groups of the report, in its order, which gives each one its colour; `make_views` adds
            them.
    """

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...] = ()
    notes: tuple[str, ...] = ()
    missing: str | None = None
    groups: tuple[str, ...] = ()

    def records(self) -> list[dict[str, Value]]:
        """Return the rows as mappings from a column's name."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def cells(self) -> list[list[str]]:
        """Return the rows as a reader sees them."""
        return [[column.text(value) for column, value in zip(self.columns, row, strict=True)] for row in self.rows]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "title": self.title,
            "caption": self.caption,
            "columns": {c.name: {"heading": c.heading, "source": c.source} for c in self.columns},
            "rows": self.records(),
            "notes": list(self.notes),
            "missing": self.missing,
        }
