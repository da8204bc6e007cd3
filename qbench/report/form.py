"""The forms in which a report is written."""

from __future__ import annotations

from enum import StrEnum


class Form(StrEnum):
    """What a report is written as."""

    html = "html"
    md = "md"
    tex = "tex"
    json = "json"
    csv = "csv"
    svg = "svg"
    png = "png"


PICTURES = (Form.svg, Form.png)
BY_VIEW = (Form.csv, *PICTURES)
"""The forms of which a file holds one view."""
TABLES = (Form.md, Form.tex)
"""The forms in which one view that is asked for is a table without the rest of the report."""
