"""`qbench report`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qbench.cli.output import Columns
from qbench.report.form import BY_VIEW, PICTURES, TABLES, Form

if TYPE_CHECKING:
    from qbench.report.model.report_model import ReportModel
    from qbench.report.view import View

Folders = Annotated[
    list[Path],
    typer.Argument(metavar="FOLDER", help="What `qbench sweep` printed as its results.", show_default=False),
]


def report(
    folders: Folders,
    given: Annotated[Form | None, typer.Option("--format", help="What to write.", show_default="html")] = None,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="A file, or a folder: one that is there, or PATH/.", show_default="see below"
        ),
    ] = None,
    view: Annotated[
        str | None, typer.Option(metavar="NAME", help="This table or chart alone.", show_default="all")
    ] = None,
    columns: Columns = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    wandb: Annotated[
        str | None,
        typer.Option(metavar="ENTITY/PROJECT", help="Save a wandb report and workspace there.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --wandb: write both as JSON, without key or network.")
    ] = False,
) -> None:
    """Write what sweeps have found as a page, as tables or as pictures; nothing is trained.

    \b
    Example:
      qbench report runs/binary_vs_int8 --open                     (the page, runs/binary_vs_int8/report.html)
      qbench report runs/first runs/second --to both.html          (sweeps side by side)
      qbench report runs/binary_vs_int8 --format md                (verdict and tables, on standard output)
      qbench report runs/binary_vs_int8 --format tex --view overview --to table.tex
      qbench report runs/binary_vs_int8 --format csv --to tables/  (a file for each view)
      qbench report runs/binary_vs_int8 --format svg --view tradeoff-bytes --to figure.svg
      qbench report runs/binary_vs_int8 --wandb my-team/quant      (needs pip install 'qbench[reports]' and a key)

    Without --to, the page goes to FOLDER/report.html, pictures go to FOLDER/report/, and md, tex, json and csv to
    standard output; csv is then the table of all groups unless --view names another. Into a folder, csv, svg and png
    write a file for each view, named after it.

    With --wandb, a page or table is written only where --format asks for it. With --dry-run, what would be saved goes
    to FOLDER, or to --to: wandb-report.json, wandb-workspace.json, wandb-charts.json.

    A sweep that has not finished has a report of what is there, which says so. In CSV, a name that a spreadsheet would
    run as a formula begins with an apostrophe.
    """
    from qbench.errors import UserError
    from qbench.report.files import one_view
    from qbench.report.model.report_model import make_report
    from qbench.report.study import read_study
    from qbench.report.views.catalogue import make_views
    from qbench.report.views.overview import OVERVIEW

    form = given or Form.html
    _check(given, to, view, folders, open_page=open_page, wandb=wandb, dry_run=dry_run)
    if columns is not None and (form in (Form.html, *PICTURES) or view not in (None, OVERVIEW)):
        raise UserError("--columns: chooses those of the table of all groups, as md, tex, csv or json")
    model = make_report([read_study(folder) for folder in folders])
    views: Mapping[str, View] = make_views(model)
    if columns is not None:
        from qbench.report.commands.overview_table import overview_table

        views = {**views, OVERVIEW: overview_table(model, columns, 80)}
    if wandb is not None:
        from qbench.cli.report_wandb import to_wandb

        to_wandb(model, views, wandb, Path(to) if to is not None and given is None else folders[0], dry_run)
        if given is None:
            return
    if view is not None:
        views = {view: one_view(views, view)}
    _tell(_write(form, to, model, views, folders[0]), open_page)


def _check(
    given: Form | None,
    to: str | None,
    view: str | None,
    folders: Sequence[Path],
    *,
    open_page: bool,
    wandb: str | None,
    dry_run: bool,
) -> None:
    """Raise an error about options that do not go together, before anything is read."""
    from qbench.errors import UserError

    form = given or Form.html
    if dry_run and wandb is None:
        raise UserError("--dry-run: belongs to --wandb ENTITY/PROJECT")
    if wandb is not None and given is None and (open_page or (to is not None and not dry_run)):
        raise UserError("--wandb: the page is not written with it; add --format html for --open or --to")
    if form is not Form.html and open_page:
        raise UserError("--open: only the page (--format html) can be opened")
    if form is Form.html and view:
        raise UserError("--view: the page has all views; choose another --format for one of them")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError("a folder is named twice: its trials would count twice")


def _write(form: Form, to: str | None, model: ReportModel, views: Mapping[str, View], folder: Path) -> list[Path]:
    """Write the report, and return its files; print it where it goes to standard output."""
    from qbench.report.files import PAGE, is_folder, of_view, whole, write_file

    if to is None and form in PICTURES:
        to = f"{folder / 'report'}/"
    if form in BY_VIEW:
        return _write_by_view(form, to, views)
    only = next(iter(views.values())) if len(views) == 1 and form in TABLES else None
    text = whole(form, model, views) if only is None else of_view(form, only)
    if to is None and form is not Form.html:
        print(text, end="")
        return []
    path = Path(to) if to is not None else folder / PAGE
    if to is not None and is_folder(to):
        return [write_file(path / f"report.{form}", text, make_folder=True)]
    return [write_file(path, text)]


def _write_by_view(form: Form, to: str | None, views: Mapping[str, View]) -> list[Path]:
    from qbench.errors import UserError
    from qbench.report.files import drawable, is_folder, of_view, one_view, write_file
    from qbench.report.views.overview import OVERVIEW

    if to is not None and is_folder(to):
        chosen = drawable(form, views) if len(views) > 1 else views
        if left := [name for name in views if name not in chosen]:
            why = "no rows, or no chart" if form in PICTURES else "no rows"
            print(f"not written, {why}: {', '.join(left)}", file=sys.stderr)
        if not chosen:
            raise UserError(f"nothing to write as {form}: no view has rows")
        contents = {name: of_view(form, each) for name, each in chosen.items()}
        return [write_file(Path(to) / f"{name}.{form}", each, make_folder=True) for name, each in contents.items()]
    if len(views) > 1 and form in PICTURES:
        raise UserError("--to: one file holds one picture; name it with --view, or a folder with --to FOLDER/")
    contents_of_one = of_view(form, one_view(views, OVERVIEW) if len(views) > 1 else next(iter(views.values())))
    if to is not None:
        return [write_file(Path(to), contents_of_one)]
    print(contents_of_one, end="")
    return []


def _tell(written: Sequence[Path], open_page: bool) -> None:
    """Print the paths of what was written, and open the page where that is wanted."""
    for path in written:
        print(f"Report: {path}")
    if open_page:
        _open(written[0])


def _open(page: Path) -> None:
    import webbrowser

    if not webbrowser.open(page.resolve().as_uri()):
        print("no browser could be opened", file=sys.stderr)
