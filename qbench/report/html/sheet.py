"""A view's table on the page, and as texts for the clipboard."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from qbench.report.render import csv_table, latex
from qbench.report.render.cells import cells
from qbench.report.view import Column, Source, Value, View
from qbench.report.visible import visible

MAX_ROWS = 200
"""The rows of a table on the page, at most, unless it is the overview."""


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: as a reader sees it.
        key: what the column sorts by, a number; empty where it sorts by `text`.
        kind: classes for the style: `number`, `text`, `lines` (more than one line).
    """

    text: str
    key: str
    kind: str


@dataclass(frozen=True)
class Head:
    """A column's head.

    Attributes:
        heading: for a reader, with the unit.
        source: where the values come from.
        numeric: whether they are numbers, which are flush right.
    """

    heading: str
    source: Source
    numeric: bool


@dataclass(frozen=True)
class Sheet:
    """One table.

    Attributes:
        heads: of the columns.
        rows: of cells, those that are shown.
        total: how many rows the view has.
    """

    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: int

    @property
    def cut(self) -> int:
        """How many rows are not shown."""
        return self.total - len(self.rows)


def make_sheet(view: View, *, whole: bool) -> Sheet:
    """Return the view's first `MAX_ROWS` rows, or all; an interval is one column, which sorts by its low end.

    Columns of sentences are left out: `remarks` has them.
    """
    view = _without_asides(view)
    shown = view if whole else replace(view, rows=view.rows[:MAX_ROWS])
    found = cells(shown)
    columns = _first_columns(view.columns, found.headings)
    heads = tuple(
        Head(heading, view.columns[index].source, numeric)
        for heading, index, numeric in zip(found.headings, columns, found.numeric, strict=True)
    )
    rows = tuple(
        tuple(_cell(row[index], text, head) for index, text, head in zip(columns, texts, heads, strict=True))
        for row, texts in zip(shown.rows, found.rows, strict=True)
    )
    return Sheet(heads, rows, len(view.rows))


def remarks(view: View) -> list[str]:
    """Return the sentences of the view's aside columns, each behind what its row is about, the row's texts."""
    found = []
    for row in view.rows[:MAX_ROWS]:
        pairs = list(zip(view.columns, row, strict=True))
        about = ", ".join(str(value) for column, value in pairs if not (column.aside or column.numeric))
        found += [f"{about}: {value}" for column, value in pairs if column.aside and value is not None]
    return found


def _without_asides(view: View) -> View:
    kept = [index for index, column in enumerate(view.columns) if not column.aside]
    rows = tuple(tuple(row[index] for index in kept) for row in view.rows)
    return replace(view, columns=tuple(view.columns[index] for index in kept), rows=rows)


def _first_columns(columns: Sequence[Column], headings: Sequence[str]) -> list[int]:
    """Return for each heading the index of its column: of an interval's two, which have one heading, the low."""
    found, index = [], 0
    for heading in headings:
        found.append(index)
        index += 1 if columns[index].heading == heading else 2
    return found


def copies(view: View) -> dict[str, Any]:
    """Return the whole table as LaTeX, and as CSV: its head, and each row apart, because rows can be filtered."""
    head = csv_table.table(replace(view, rows=()))
    rows = [csv_table.table(replace(view, rows=(row,))).removeprefix(head) for row in view.rows]
    return {"latex": latex.table(view), "csv": {"head": head, "rows": rows}}


def _cell(value: Value, text: str, head: Head) -> Cell:
    """Return a cell; its text has no unseen character, which could turn the order of letters around."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(text, repr(value) if math.isfinite(value) else "", "number")
    kind = "lines" if "\n" in text else "number" if head.numeric else "text"
    return Cell("\n".join(map(visible, text.split("\n"))), "", kind)
