"""A view's table as the text that a reader sees."""

from __future__ import annotations

from dataclasses import dataclass

from qbench.report.view import Column, View

_LOW, _HIGH = "95 % low", "95 % high"
_INTERVAL = "95 % interval"


@dataclass(frozen=True)
class Cells:
    """A table of text.

    Attributes:
        headings: of the columns.
        numeric: whether a column holds numbers, which are flush right.
        rows: a text for each column.
        names: of each column, the names of the view's columns that it shows.
    """

    headings: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    names: tuple[tuple[str, ...], ...] = ()


def cells(view: View) -> Cells:
    """Return a view's table; the two ends of an interval, in neighbouring columns, are one column: `97.89 to 99.78`."""
    parts = _parts(view.columns)
    texts = view.cells()
    return Cells(
        tuple(_INTERVAL if len(part) == 2 else view.columns[part[0]].heading for part in parts),
        tuple(view.columns[part[0]].numeric for part in parts),
        tuple(tuple(_joined([row[index] for index in part]) for part in parts) for row in texts),
        tuple(tuple(view.columns[index].name for index in part) for part in parts),
    )


def _parts(columns: tuple[Column, ...]) -> list[tuple[int, ...]]:
    """Return the indices of the columns that make each column of the text."""
    parts: list[tuple[int, ...]] = []
    for index, column in enumerate(columns):
        if column.heading == _HIGH and parts and columns[parts[-1][-1]].heading == _LOW:
            parts[-1] = (*parts[-1], index)
        else:
            parts.append((index,))
    return parts


def _joined(texts: list[str]) -> str:
    if len(texts) == 1:
        return texts[0]
    return "-" if "-" in texts else " to ".join(text.removesuffix(" %") for text in texts)
