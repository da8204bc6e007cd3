"""The progress of a sweep: bars on a terminal, lines in a file or a pipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from qbench.sweep.plan import PlannedTrial
from qbench.trial.metrics import show
from qbench.trial.record import TrialRecord


def _result(trial: PlannedTrial, record: TrialRecord) -> str:
    if record.status == "failed":
        return f"{trial.label}: FAILED: {record.error}"
    accuracy, seconds = (record.row.get(name) for name in ("test/accuracy", "time/train_s"))
    shared = ", training shared" if record.row.get("shared") else ""
    return f"{trial.label}: accuracy {show('test/accuracy', accuracy)}, {show('time/train_s', seconds)}{shared}"


def _plan(total: int, known: int) -> str:
    trials = "1 trial" if total == 1 else f"{total} trials"
    if known == total:
        return f"{trials}, {'all ' if total > 1 else ''}done already: nothing to train"
    return trials + (f", {known} done already" if known else "") + f", {total - known} to run"


class LineProgress:
    """Progress as lines without escape codes: one for each trial that ends and, if `epochs`, one for each epoch."""

    def __init__(self, stream: TextIO, epochs: bool = False) -> None:
        self._stream = stream
        self._epochs = epochs
        self._total = self._count = 0

    def __enter__(self) -> LineProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def begin(self, total: int, known: int) -> None:
        """Show how many of the `total` trials are in the store already, and how many will run."""
        self._total, self._count = total, known
        self._say(_plan(total, known))

    def started(self, trial: PlannedTrial) -> None:
        """Say nothing: the line at the trial's end says more."""

    def epoch(self, trial: PlannedTrial, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        """Print the epoch, if epochs are wanted."""
        if self._epochs:
            self._say(f"{trial.label}: epoch {epoch}/{epochs}")

    def done(self, trial: PlannedTrial, record: TrialRecord) -> None:
        """Print how the trial ended."""
        self._count += 1
        self._say(f"[{self._count}/{self._total}] {_result(trial, record)}")

    def warn(self, text: str) -> None:
        """Print a warning."""
        self._say(f"warning: {text}")

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class BarProgress:
    """Progress as a bar for the sweep and one for each running trial, below a line for each trial that ended."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console,
            transient=True,
        )  # fmt: skip
        self._sweep: TaskID | None = None
        self._trials: dict[str, TaskID] = {}
        self._total = self._count = 0

    def __enter__(self) -> BarProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, total: int, known: int) -> None:
        """Show how many of the `total` trials are in the store already, and how many will run."""
        self._total, self._count = total, known
        self._progress.console.print(_plan(total, known), highlight=False)
        if known < total:
            self._sweep = self._progress.add_task("trials", total=total, completed=known)

    def started(self, trial: PlannedTrial) -> None:
        """Add a bar for the trial."""
        self._trials[trial.id] = self._progress.add_task(f"  {escape(trial.label)}", total=None)

    def epoch(self, trial: PlannedTrial, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        """Move the trial's bar."""
        if trial.id in self._trials:
            self._progress.update(self._trials[trial.id], completed=epoch, total=epochs)

    def done(self, trial: PlannedTrial, record: TrialRecord) -> None:
        """Print how the trial ended, remove its bar and move the sweep's."""
        if trial.id in self._trials:
            self._progress.remove_task(self._trials.pop(trial.id))
        self._count += 1
        if self._sweep is not None:
            self._progress.update(self._sweep, completed=self._count)
        style = "red" if record.status == "failed" else ""
        text = escape(f"[{self._count}/{self._total}] {_result(trial, record)}")
        self._progress.console.print(text, style=style, highlight=False)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self._progress.console.print(escape(f"warning: {text}"), style="yellow", highlight=False)


def progress_on(stream: TextIO, epochs: bool = False) -> LineProgress | BarProgress:
    """Return bars where the stream is a terminal, else lines; `epochs` adds a line for each epoch to the lines."""
    return BarProgress(Console(file=stream)) if stream.isatty() else LineProgress(stream, epochs)
