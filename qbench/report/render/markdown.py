"""A report as Markdown: GitHub's tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from qbench.report.render.cells import cells
from qbench.report.view import View
from qbench.report.visible import visible

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# What begins emphasis, code, a link, strikethrough or a formula, or ends a cell.
_SPECIAL = re.compile(r"([\\`*_\[\]|~$])")
# What begins a heading or a list, at the beginning of a paragraph.
_FIRST = re.compile(r"^(\d*)([#+=.)-])")


def document(title: str, verdict: Sequence[str], views: Sequence[View], longer: Sequence[View] = ()) -> str:
    """Return a whole report: the verdict, then the views; those of `longer` are only named."""
    parts = [f"# {escaped(title)}", *map(_paragraph, verdict), *(table(view).rstrip("\n") for view in views)]
    if longer:
        names = ", ".join(f"{escaped(view.name)} ({len(view.rows):,} rows)" for view in longer)
        parts.append(f"Too long for this document, and written by `--view NAME`: {names}.")
    return "\n\n".join(parts) + "\n"


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


def _line(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"
