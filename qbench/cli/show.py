"""`qbench show`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qbench.cli.exit_codes import DONE, FAILED
from qbench.cli.options import Json
from qbench.cli.output import Columns, print_json, print_report, print_view
from qbench.report.visible import visible

if TYPE_CHECKING:
    from qbench.report.model.report_model import ReportModel


def show(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER", help="What `qbench sweep` or `qbench train` printed as its results.", show_default=False
        ),
    ],
    columns: Columns = None,
    earlier: Annotated[
        bool,
        typer.Option("--earlier", help="List the folder's trials of other plans, and of earlier versions of the code."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Print the table and the verdict of a sweep that has run or still runs; nothing is trained or written.

    \b
    Example:
      qbench show runs/binary_vs_int8
      qbench show runs/binary_vs_int8 --columns accuracy,interval,weight_bytes,train_s
      qbench show runs/binary_vs_int8 --columns all
      qbench show runs/train --earlier
      qbench show runs/first runs/second --json

    The folder is enough: its sweep file may have been renamed, edited or deleted. Of a running sweep it shows the
    trials that are done. In a pipe lines have 80 characters, or as many as COLUMNS says.

    Trials that the folder holds beside those of its last plan (of an earlier version of the code, of an edited file)
    are in no mean and no comparison: a note counts them, --earlier lists them one by one.

    The exit code is that of the sweep: 1 where a trial failed, or packed predictions are others.
    """
    from qbench.errors import UserError
    from qbench.report.model.report_model import make_report
    from qbench.report.study import read_study

    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError("a folder is named twice: its trials would count twice")
    if earlier and columns is not None:
        raise UserError("--earlier: its table has columns of its own; leave --columns out")
    report = make_report([read_study(folder) for folder in folders])
    if earlier:
        _print_earlier(report, as_json)
        return
    failures = _failures(report)
    if as_json:
        print_json({"name": report.title, "failures": failures, **report.as_dict()})
    else:
        print_report(report, columns)
    for failure in failures:
        print(visible(f"failed: {failure['name']} seed={failure['seed']}: {failure['error']}"), file=sys.stderr)
        print(f"        traceback: {failure['traceback']}", file=sys.stderr)
    faults = [(group.name, fault) for group in report.groups for fault in group.failed_checks]
    for name, fault in faults:
        print(visible(f"failed check: {name}, {fault}"), file=sys.stderr)
    raise typer.Exit(FAILED if failures or faults else DONE)


def _failures(report: ReportModel) -> list[dict[str, Any]]:
    return [
        {
            "name": group.name,
            "seed": record.row.get("seed"),
            "trial_id": record.trial_id,
            "error": record.error,
            "traceback": f"{record.folder}/trials/{record.trial_id}.traceback.txt",
        }
        for group in report.groups
        for record in group.failed
    ]


def _print_earlier(report: ReportModel, as_json: bool) -> None:
    from functools import partial

    from qbench.report.render.terminal import narrowed
    from qbench.report.views.earlier import ORDER, earlier

    view = earlier(report)
    if as_json:
        print_json(view.as_dict())
    else:
        print_view(partial(narrowed, view, order=ORDER, whole="--json has every column"))
