"""A view's table on the page, and as texts for the clipboard."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from qbench.report import delimited, latex
from qbench.report.view import Column, Value, View
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
class Sheet:
    """One table.

    Attributes:
        columns: as in the view.
        rows: of cells, those that are shown.
        total: how many rows the view has.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: int

    @property
    def cut(self) -> int:
        """How many rows are not shown."""
        return self.total - len(self.rows)


def make_sheet(view: View, *, whole: bool) -> Sheet:
    """Return the view's first `MAX_ROWS` rows, or all, as cells."""
    shown = view if whole else replace(view, rows=view.rows[:MAX_ROWS])
    rows = tuple(
        tuple(_cell(column, value, text) for column, value, text in zip(view.columns, row, texts, strict=True))
        for row, texts in zip(shown.rows, shown.cells(), strict=True)
    )
    return Sheet(view.columns, rows, len(view.rows))


def copies(view: View) -> dict[str, Any]:
    """Return the whole table as LaTeX, and as CSV: its head, and each row apart, because rows can be filtered."""
    head = delimited.table(replace(view, rows=()))
    rows = [delimited.table(replace(view, rows=(row,))).removeprefix(head) for row in view.rows]
    return {"latex": latex.table(view), "csv": {"head": head, "rows": rows}}


def _cell(column: Column, value: Value, text: str) -> Cell:
    """Return a cell; its text has no unseen character, which could turn the order of letters around."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(text, repr(value) if math.isfinite(value) else "", "number")
    kind = "lines" if "\n" in text else "number" if column.numeric else "text"
    return Cell("\n".join(map(visible, text.split("\n"))), "", kind)
