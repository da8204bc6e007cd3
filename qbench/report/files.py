"""A report in each of its forms, as text or as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from qbench.errors import UserError, nearest
from qbench.io import replacing
from qbench.report.form import PICTURES, Form
from qbench.report.model.report_model import ReportModel
from qbench.report.view import View
from qbench.report.views.overview import OVERVIEW

LONGEST = 50
"""A document of Markdown or LaTeX leaves longer tables out, but for that of all groups."""
PAGE = "report.html"
"""The page's name in a sweep's folder."""


def one_view(views: Mapping[str, View], name: str) -> View:
    """Return the view called `name`.

    Raises:
        UserError: no such view, with the nearest name and all others.
    """
    if name not in views:
        raise UserError(f"no view {name!r}{nearest(name, list(views))}")
    return views[name]


def whole(form: Form, model: ReportModel, views: Mapping[str, View]) -> str:
    """Return a report in a form whose file holds all views: html, md, tex or json."""
    if form is Form.html:
        from qbench.report.html.page import render

        return render(model, views)
    if form is Form.json:
        from qbench.report.render.json_document import as_json

        return as_json(model, views)
    from qbench.report.model.verdict import verdict
    from qbench.report.render import latex, markdown

    short, longer = _short(views)
    write = markdown.document if form is Form.md else latex.document
    return write(model.title, verdict(model), short, longer)


def _short(views: Mapping[str, View]) -> tuple[list[View], list[View]]:
    """Return the views that have rows: those for a document, and those too long for one."""
    having = [view for view in views.values() if view.rows]
    short = [view for view in having if view.name == OVERVIEW or len(view.rows) <= LONGEST]
    return short, [view for view in having if view not in short]


def of_view(form: Form, view: View) -> str | bytes:
    """Return one view as csv, md, tex, svg or png.

    Raises:
        UserError: a picture of a view that has none.
    """
    from qbench.report.render import csv_table, latex, markdown

    tables = {Form.csv: csv_table.table, Form.md: markdown.table, Form.tex: latex.table}
    if form in tables:
        return tables[form](view)
    from qbench.report.charts.picture import png, svg

    return svg(view) if form is Form.svg else png(view)


def drawable(form: Form, views: Mapping[str, View]) -> dict[str, View]:
    """Return the views that have something to write in this form: rows, and for a picture a chart."""
    found = {name: view for name, view in views.items() if view.rows}
    if form in PICTURES:
        from qbench.report.charts.catalogue import CHARTS

        found = {name: view for name, view in found.items() if name in CHARTS}
    return found


def is_folder(path: Path | str) -> bool:
    """Whether a target is a folder: it is there, or its name ends in a slash."""
    return str(path).endswith("/") or Path(path).is_dir()


def write_file(path: Path, contents: str | bytes, *, make_folder: bool = False) -> Path:
    """Write a file, whole or not at all, and return its path.

    Raises:
        UserError: it cannot be written.
    """
    data = contents.encode("utf-8") if isinstance(contents, str) else contents
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        if not path.absolute().parent.is_dir():
            raise UserError(f"{path}: cannot be written: no such folder {str(path.parent)!r}")
        with replacing(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None
    return path
