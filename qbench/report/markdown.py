"""A report as Markdown: GitHub's tables."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from qbench.report.cells import cells
from qbench.report.view import View
from qbench.report.visible import visible

LONGEST = 50
"""A document names longer tables and leaves them out."""
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# What begins emphasis, code, a link, strikethrough or a formula, or ends a cell.
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
# What begins a heading or a list, at the beginning of a paragraph.
_FIRST = re.compile(r"^(\d*)([#+=.)-])")


def document(title: str, verdict: Sequence[str], views: Mapping[str, View]) -> str:
    """Return a whole report: the verdict, then each view that has rows; those longer than `LONGEST` are named.

    The first view is shown at any length.
    """
    parts = [f"# {escaped(title)}", *map(_paragraph, verdict)]
    longer = []
    for index, view in enumerate(views.values()):
        if view.rows and (index == 0 or len(view.rows) <= LONGEST):
            parts.append(table(view).rstrip("\n"))
        elif view.rows:
            longer.append(f"`{view.name}` ({len(view.rows):,} rows)")
    if longer:
        parts.append(f"Left out for their length, and shown by `--view NAME`: {', '.join(longer)}.")
    return "\n\n".join(parts).rstrip("\n") + "\n"


def table(view: View) -> str:
    """Return a view with its heading, caption and notes; a view without rows says why."""
    head = f"## {escaped(view.title)}\n\n{_paragraph(view.caption)}\n"
    if not view.rows:
        return f"{head}\nNo rows: {escaped(view.missing or 'there are none')}.\n"
    found = cells(view)
    rule = ["---:" if numeric else "---" for numeric in found.numeric]
    lines = [_line(map(escaped, found.headings)), _line(rule), *(_line(map(escaped, row)) for row in found.rows)]
    notes = "".join(f"- {_paragraph(note)}\n" for note in view.notes)
    return f"{head}\n" + "\n".join(lines) + "\n" + (f"\n{notes}" if notes else "")


def escaped(text: str) -> str:
    """Return `text` so that Markdown shows it as it is, in one line; a line break of a file's text is `<br>`."""
    lines = text.rstrip("\n").split("\n")
    return "<br>".join(_spaces(_SPECIAL.sub(r"\\\1", visible(line)).translate(_ENTITIES)) for line in lines)


def _paragraph(text: str) -> str:
    return _FIRST.sub(r"\1\\\2", escaped(text))


def _spaces(line: str) -> str:
    """Keep the spaces that a line begins with, as YAML needs them."""
    bare = line.lstrip(" ")
    return "&nbsp;" * (len(line) - len(bare)) + bare


def _line(texts: object) -> str:
    return f"| {' | '.join(texts)} |"  # type: ignore[arg-type]
