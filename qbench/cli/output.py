"""Results on standard output."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from qbench.report.model.report_model import ReportModel
    from qbench.report.view import View
    from qbench.sweep.plan import PlannedTrial


def print_json(value: Any) -> None:
    """Print a value as JSON; a number that JSON cannot hold is an error."""
    print(json.dumps(value, indent=1, allow_nan=False))


Columns = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME",
        help="Columns of the table, named as in CSV; or all.",
        show_default="those that fit the width",
    ),
]


def check_columns(columns: str | None) -> None:
    """Refuse, before trials run, what can be no column's name.

    Raises:
        UserError: such a name.
    """
    if columns is not None:
        from qbench.report.commands.overview_table import check_columns as check  # with it come numpy and scipy

        check(columns)


def print_report(report: ReportModel, columns: str | None = None) -> None:
    """Print the comparison and its verdict: drawn on a terminal, plain text in a pipe or file.

    In a pipe a line has 80 characters, or as many as the variable COLUMNS says.

    Raises:
        UserError: `columns` names a column that is none.
    """
    from qbench.report.commands.overview_table import overview_table
    from qbench.report.model.verdict import verdict

    print_view(lambda width, drawn: overview_table(report, columns, width, drawn), verdict(report))


def print_results(report: ReportModel, columns: str | None) -> None:
    """Print the comparison of trials that just ran: a column that they do not have is a warning, and no error."""
    from qbench.errors import UserError

    try:
        print_report(report, columns)
    except UserError as error:
        if columns is None:
            raise
        print(f"warning: {error}", file=sys.stderr)
        print_report(report)


def print_view(make: Callable[[int, bool], View], sentences: Sequence[str] = ()) -> None:
    """Print a view and sentences below it, as `print_report` does.

    Args:
        make: returns the view, given the width in characters and whether it is drawn.
        sentences: to be wrapped.
    """
    from qbench.report.render.terminal import draw, plain

    if sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        draw(make(console.width, True), console, sentences)
    else:
        width = shutil.get_terminal_size((80, 24)).columns
        print(plain(make(width, False), sentences, width))


def write_page(report: ReportModel, folder: Path) -> Path | None:
    """Write the report's page into a sweep's folder and return its path; None, with a warning, where that fails."""
    from qbench.errors import one_line
    from qbench.report.files import PAGE, whole, write_file
    from qbench.report.form import Form
    from qbench.report.views.catalogue import make_views

    try:
        return write_file(folder / PAGE, whole(Form.html, report, make_views(report)))
    except Exception as error:  # whatever it is, hours of training are not lost over it
        print(f"warning: no {PAGE} was written: {one_line(error)}", file=sys.stderr)
        return None


def print_trials(trials: Sequence[PlannedTrial], todo: Sequence[PlannedTrial], folder: Path, as_json: bool) -> None:
    """Print the trials that a sweep would run, or that it has."""
    waiting = {trial.id for trial in todo}
    if as_json:
        print_json(
            [
                {"trial_id": t.id, "training_key": t.training_key, "done": t.id not in waiting, **t.config.flat()}
                for t in trials
            ]
        )
        return
    for number, trial in enumerate(trials, start=1):
        state = "to run" if trial.id in waiting else "done"
        print(f"{number:>4}  {trial.id}  {state:<6}  {trial.label}")
    trainings = len({trial.training_key for trial in trials})
    print(f"{len(trials)} trials, {trainings} trainings, {len(todo)} to run; output: {folder}/")
