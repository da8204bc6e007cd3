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
