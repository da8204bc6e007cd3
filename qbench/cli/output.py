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
    """Print the comparison: drawn on a terminal, plain text in a pipe or file."""
    from qbench.report.terminal import draw, plain

    if sys.stdout.isatty():
        from rich.console import Console

        draw(report, Console())
    else:
        print(plain(report))


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
