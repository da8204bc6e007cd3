"""A view as a table for a terminal, and as plain text for a file or a pipe."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qbench.report.render.cells import Cells, cells
from qbench.report.view import View
from qbench.report.visible import visible

_LETTERS, _PARETO = "letters", "pareto"
_WIDTH = 120
"""Characters of a line of sentences in plain text."""


def plain(view: View, sentences: Sequence[str] = ()) -> str:
    """Return the table, `sentences` (a verdict, wrapped) and the notes as lines of text, without colours or boxes."""
    table = _table(view)
    widths = _widths(table)
    lines = []
    for row in (table.headings, *table.rows):
        parts = [
            text.rjust(width) if numeric else text.ljust(width)
            for text, width, numeric in zip(row, widths, table.numeric, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join([*lines, *_below(view, sentences)])


def draw(view: View, console: Console, sentences: Sequence[str] = ()) -> None:
    """Print the same on a terminal.

    A table that is too wide is cut into several, each of which begins with the first column.
    """
    found = _table(view)
    strong = _on_front(view)
    for columns in _pack(_widths(found), console.width):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for index in columns:
            justify = "right" if found.numeric[index] else "left"
            table.add_column(found.headings[index], justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for row, bold in zip(found.rows, strong, strict=True):
            # Text, not markup: a name may hold square brackets.
            table.add_row(*(Text(row[index]) for index in columns), style="bold" if bold else "")
        console.print(table)
        console.print()
    for sentence in map(visible, sentences):
        console.print(Text(sentence))
    if sentences:
        console.print()
    for note in _notes(view):
        console.print(Text(note, style="dim"))


def _below(view: View, sentences: Sequence[str]) -> list[str]:
    notes = _notes(view)
    wrapped = [line for sentence in sentences for line in _wrapped(visible(sentence))]
    return [*(["", *wrapped] if wrapped else []), *(["", *notes] if notes else [])]


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(sentence, _WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _notes(view: View) -> list[str]:
    return [*([f"no rows: {visible(view.missing)}"] if view.missing else []), *map(visible, view.notes)]


def _on_front(view: View) -> list[bool]:
    return [bool(row.get(_PARETO)) for row in view.records()]


def _table(view: View) -> Cells:
    """Return a view's text, compact: a mark for yes, and letters beside the number that they belong to."""
    names = [column.name for column in view.columns]
    if _PARETO in names:
        place = names.index(_PARETO)
        marks = {True: "*", False: "", None: "-"}
        rows = tuple((*row[:place], marks[row[place]], *row[place + 1 :]) for row in view.rows)  # type: ignore[index]
        view = View(view.name, view.title, view.caption, view.columns, rows)
    found = cells(view)
    rows_of_text = tuple(tuple(map(visible, row)) for row in found.rows)
    found = Cells(tuple(map(visible, found.headings)), found.numeric, rows_of_text)
    return _beside(found, found.headings.index(_LETTERS)) if _LETTERS in found.headings[1:] else found


def _beside(found: Cells, place: int) -> Cells:
    """Join the column at `place` to the one before it, whose heading stays."""
    texts = ["" if row[place] == "-" else row[place] for row in found.rows]
    width = max(map(len, texts), default=0)
    rows = tuple(
        (*row[: place - 1], f"{row[place - 1]} {text.ljust(width)}", *row[place + 1 :])
        for row, text in zip(found.rows, texts, strict=True)
    )
    headings = (*found.headings[:place], *found.headings[place + 1 :])
    return Cells(headings, (*found.numeric[:place], *found.numeric[place + 1 :]), rows)


def _widths(found: Cells) -> list[int]:
    return [max(len(text) for text in column) for column in zip(found.headings, *found.rows, strict=True)]


def _pack(widths: Sequence[int], total: int) -> list[list[int]]:
    """Return the columns of each table, as many tables as the width needs; the first column is in each."""
    gap = 3  # padding, divider, padding
    tables = [[0]]
    used = widths[0]
    for index in range(1, len(widths)):
        if used + gap + widths[index] > total and len(tables[-1]) > 1:
            tables.append([0])
            used = widths[0]
        tables[-1].append(index)
        used += gap + widths[index]
    return tables
