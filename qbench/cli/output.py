"""Results on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qbench.report.model.report_model import ReportModel
    from qbench.sweep.plan import PlannedTrial


def print_json(value: Any) -> None:
    """Print a value as JSON; a number that JSON cannot hold is an error."""
    print(json.dumps(value, indent=1, allow_nan=False))


def print_row(row: Mapping[str, Any]) -> None:
    """Print a trial's row, a key a line."""
    from qbench.trial.metrics import METRICS, show

    width = max(len(key) for key in row)
    for key, value in row.items():
        print(f"{key:<{width}}  {show(key, value) if key in METRICS else '-' if value is None else value}")


def print_report(report: ReportModel) -> None:
    """Print the comparison and its verdict: drawn on a terminal, plain text in a pipe or file."""
    from qbench.report.model.verdict import verdict
    from qbench.report.render.terminal import draw, plain
    from qbench.report.views.overview import overview

    if sys.stdout.isatty():
        from rich.console import Console

        draw(overview(report), Console(), verdict(report))
    else:
        print(plain(overview(report), verdict(report)))


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
