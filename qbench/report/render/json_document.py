"""A report as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

from qbench.io import finite
from qbench.report.model.report_model import ReportModel
from qbench.report.model.verdict import verdict
from qbench.report.view import View

FORMAT = 1


def as_json(model: ReportModel, views: Mapping[str, View]) -> str:
    """Return the comparison and the given views as JSON, in ASCII; a number that JSON cannot hold is null.

    Keys: `format` (1), `title`, `verdict` (paragraphs), those of `summary.json` (`groups`, `comparisons`, ...), and
    `views`: by a view's name its title, caption, columns, rows, notes and why it has no rows.
    """
    values = {
        "format": FORMAT,
        "title": model.title,
        "verdict": list(verdict(model)),
        **model.as_dict(),
        "views": {name: view.as_dict() for name, view in views.items()},
    }
    return json.dumps(finite(values), indent=1, allow_nan=False) + "\n"
