"""A view as CSV."""

from __future__ import annotations

import csv
import io

from qbench.report.view import Value, View
from qbench.report.visible import visible

# A spreadsheet reads a cell that begins so as a formula.
_FORMULA = ("=", "+", "-", "@")


def table(view: View) -> str:
    """Return a view's rows under their columns' names: raw values, an empty cell for none, true and false.

    A text that a spreadsheet would run as a formula gets an apostrophe in front, which it shows as text: names come
    from files. Numbers are never changed.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_cell(column.name) for column in view.columns])
    for row in view.rows:
        writer.writerow([_cell(value) for value in row])
    return text.getvalue()


def _cell(value: Value) -> Value:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        lines = "\n".join(map(visible, value.split("\n")))
        return f"'{lines}" if lines.lstrip().startswith(_FORMULA) else lines
    return value
