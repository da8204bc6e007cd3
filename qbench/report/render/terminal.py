"""A view as a table for a terminal, and as plain text for a file or a pipe."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from qbench.report.render.cells import Cells, cells
from qbench.report.render.layout import GAP, Layout, fitting, lay_out
from qbench.report.view import View
from qbench.report.visible import visible

_LETTERS, _PARETO = "letters", "pareto"
_WIDTH = 120
"""Characters of a line of sentences in plain text, unless a width is given."""
_DRAWN_GAP = 3
"""Characters between two columns on a terminal: padding, divider, padding."""


def plain(view: View, sentences: Sequence[str] = (), width: int | None = None) -> str:
    """Return the table, `sentences` (a verdict) and the notes as lines of text, without colours or boxes.

    Args:
        view: the table.
        sentences: wrapped.
        width: characters of a line, within which headings, names, sentences and notes break; figures never do. A table
            with more columns than fit it is wider. None breaks the sentences alone, at 120.
    """
    table = _table(view)
    found = lay_out(table, width)
    lines = []
    for number in range(max(map(len, found.headings))):
        # The lines of a heading stand at the bottom.
        parts = [_line_of(lines_of, number - max(map(len, found.headings))) for lines_of in found.headings]
        lines.append(_joined(parts, found, table.numeric))
    for name, row in zip(found.names, found.rows, strict=True):
        lines.append(_joined([name[0], *row], found, table.numeric))
        lines.extend(name[1:])
    return "\n".join([*lines, *_below(view, sentences, width)])


def draw(view: View, console: Console, sentences: Sequence[str] = ()) -> None:
    """Print the same on a terminal.

    A table with more columns than fit is cut into several, each of which begins with the first column.
    """
    table = _table(view)
    found = lay_out(table, console.width, _DRAWN_GAP)
    strong = _on_front(view)
    for columns in _pack(found.widths, console.width):
        drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for index in columns:
            justify = "right" if table.numeric[index] else "left"
            heading = Text("\n".join(found.headings[index]))
            drawn.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for name, row, bold in zip(found.names, found.rows, strong, strict=True):
            # Text, not markup: a name may hold square brackets.
            texts = ("\n".join(name), *row)
            drawn.add_row(*(Text(texts[index]) for index in columns), style="bold" if bold else "")
        console.print(drawn)
        console.print()
    for sentence in map(visible, sentences):
        console.print(Text(sentence))
    if sentences:
        console.print()
    for note in _notes(view):
        console.print(Text(note, style="dim"))


def fitting_columns(view: View, width: int, order: Sequence[str] = (), on_terminal: bool = False) -> list[str]:
    """Return the names of the view's columns that are shown in `width` characters, in the view's order.

    Args:
        view: the whole table.
        width: in characters.
        order: names of columns, the most important first; those without a place come last, in their own order.
        on_terminal: whether `draw` will show it; else `plain`.
    """
    table = _table(view)
    places = {name: place for place, name in enumerate(order)}
    others = sorted(
        range(1, len(table.names)), key=lambda index: min(places.get(name, len(places)) for name in table.names[index])
    )
    kept = fitting(table, width, others, _DRAWN_GAP if on_terminal else GAP)
    return [name for index in kept for name in table.names[index]]


def narrowed(view: View, width: int, on_terminal: bool, order: Sequence[str] = (), whole: str = "") -> View:
    """Return the view with the columns that `fitting_columns` keeps; a note names the others.

    Args:
        view, width, on_terminal, order: as those of `fitting_columns`.
        whole: where the others are seen: `--json has every column`.
    """
    kept = fitting_columns(view, width, order, on_terminal)
    left = [column.heading for column in view.columns if column.name not in kept]
    if not left:
        return view
    places = [index for index, column in enumerate(view.columns) if column.name in kept]
    return replace(
        view,
        columns=tuple(view.columns[index] for index in places),
        rows=tuple(tuple(row[index] for index in places) for row in view.rows),
        notes=(*view.notes, f"left out, for they do not fit {width} characters: {', '.join(left)}; {whole}"),
    )


def _line_of(lines: Sequence[str], place: int) -> str:
    """Return a line counted from the end, -1 the last; empty where there are not as many."""
    return lines[place] if -place <= len(lines) else ""


def _joined(parts: Sequence[str], found: Layout, numeric: Sequence[bool]) -> str:
    texts = [
        text.rjust(width) if right else text.ljust(width)
        for text, width, right in zip(parts, found.widths, numeric, strict=True)
    ]
    return (" " * GAP).join(texts).rstrip()


def _below(view: View, sentences: Sequence[str], width: int | None) -> list[str]:
    notes = [line for note in _notes(view) for line in ([note] if width is None else _wrapped(note, width))]
    wrapped = [line for sentence in sentences for line in _wrapped(visible(sentence), width or _WIDTH)]
    return [*(["", *wrapped] if wrapped else []), *(["", *notes] if notes else [])]


def _wrapped(sentence: str, width: int) -> list[str]:
    return textwrap.wrap(sentence, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


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
    found = Cells(tuple(map(visible, found.headings)), found.numeric, rows_of_text, found.names)
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
    numeric = (*found.numeric[:place], *found.numeric[place + 1 :])
    names = (*found.names[: place - 1], found.names[place - 1] + found.names[place], *found.names[place + 1 :])
    return Cells(headings, numeric, rows, names)


def _pack(widths: Sequence[int], total: int) -> list[list[int]]:
    """Return the columns of each table, as many tables as the width needs; the first column is in each."""
    gap = _DRAWN_GAP
    tables = [[0]]
    used = widths[0]
    for index in range(1, len(widths)):
        if used + gap + widths[index] > total and len(tables[-1]) > 1:
            tables.append([0])
            used = widths[0]
        tables[-1].append(index)
        used += gap + widths[index]
    return tables
