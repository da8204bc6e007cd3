"""The progress of a sweep: bars on a terminal, lines in a file or a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from qbench.report.commands.time_left import SweepClock
from qbench.report.visible import visible
from qbench.sweep.plan import PlannedTrial
from qbench.trial.metrics import show
from qbench.trial.record import TrialRecord

_SECONDS = 60.0
"""How long a trial may train in a pipe without a line of it."""


_TEACHER = "teacher/"
"""What the names of the metrics of a teacher's epochs begin with."""


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


def metrics_text(metrics: Mapping[str, float]) -> str:
    """Return an epoch's loss and validation accuracy: `loss 0.1234, validation 95.12 %`.

    Of a module that logs neither under its usual name: the first two of what it logs, under its own names. A teacher's,
    which is trained before a trial's own epochs, are introduced by `teacher: `.
    """
    of_teacher = {name.removeprefix(_TEACHER): value for name, value in metrics.items() if name.startswith(_TEACHER)}
    if of_teacher:
        return f"teacher: {metrics_text(of_teacher)}"
    parts = []
    if (loss := metrics.get("train/loss")) is not None:
        parts.append(f"loss {loss:.4g}")
    if (accuracy := metrics.get("val/accuracy")) is not None:
        parts.append(f"validation {show('val/accuracy', accuracy)}")
    others = [f"{name} {value:.4g}" for name, value in metrics.items() if name != "epoch"]
    return ", ".join(parts or others[:2])


class LineProgress:
    """Progress as lines without escape codes: one for each trial that ends.

    If `epochs`, one for each epoch as well; else one for a trial that trains, once a minute at most.
    """

    def __init__(self, stream: TextIO, epochs: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._epochs = epochs
        self._total = self._count = 0
        self._clock = clock
        self._times = SweepClock(clock)
        self._said: dict[str, float] = {}

    def __enter__(self) -> LineProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def begin(self, total: int, known: int) -> None:
        """Show how many of the `total` trials are in the store already, and how many will run."""
        self._total, self._count = total, known
        self._times.begin(total - known)
        self._say(_plan(total, known))

    def started(self, trial: PlannedTrial) -> None:
        """Say nothing: the line at the trial's end says more."""
        self._times.started(trial.id, trial.epochs)
        self._said[trial.id] = self._clock()

    def epoch(self, trial: PlannedTrial, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        """Print the epoch, if epochs are wanted or none was printed for a minute."""
        self._times.epoch(trial.id, epoch, epochs)
        long = self._clock() - self._said.get(trial.id, 0.0) >= _SECONDS
        if not self._epochs and not long:
            return
        self._said[trial.id] = self._clock()
        left = self._times.trial_left(trial.id) if long else ""
        parts = [f"epoch {epoch}/{epochs}", metrics_text(metrics), left]
        self._say(f"{trial.label}: {', '.join(filter(None, parts))}")

    def done(self, trial: PlannedTrial, record: TrialRecord) -> None:
        """Print how the trial ended."""
        self._times.done(trial.id)
        self._count += 1
        self._say(f"[{self._count}/{self._total}] {_result(trial, record)}")

    def warn(self, text: str) -> None:
        """Print a warning."""
        self._say(f"warning: {text}")

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class BarProgress:
    """Progress as a bar for the sweep and one for each running trial, below a line for each trial that ended.

    A trial's bar has its end from the start, for the number of epochs is planned; behind it stand the latest loss and
    validation accuracy, and the time left.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"), console=console, transient=True,
        )  # fmt: skip
        self._sweep: TaskID | None = None
        self._trials: dict[str, TaskID] = {}
        self._total = self._count = 0
        self._times = SweepClock(clock)

    def __enter__(self) -> BarProgress:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, total: int, known: int) -> None:
        """Show how many of the `total` trials are in the store already, and how many will run."""
        self._total, self._count = total, known
        self._times.begin(total - known)
        self._progress.console.print(_plan(total, known), highlight=False)
        if known < total:
            self._sweep = self._progress.add_task("trials", total=total, completed=known, note="starting")

    def started(self, trial: PlannedTrial) -> None:
        """Add a bar for the trial."""
        self._times.started(trial.id, trial.epochs)
        self._show_time_left()
        description = f"  {escape(visible(trial.label))}"
        self._trials[trial.id] = self._progress.add_task(description, total=trial.epochs, note="")

    def epoch(self, trial: PlannedTrial, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        """Move the trial's bar, with its loss, accuracy and time left."""
        self._times.epoch(trial.id, epoch, epochs)
        if trial.id in self._trials:
            note = ", ".join(filter(None, [metrics_text(metrics), self._times.trial_left(trial.id)]))
            self._progress.update(self._trials[trial.id], completed=epoch, total=epochs, note=escape(visible(note)))
        self._show_time_left()

    def done(self, trial: PlannedTrial, record: TrialRecord) -> None:
        """Print how the trial ended, remove its bar and move the sweep's."""
        self._times.done(trial.id)
        if trial.id in self._trials:
            self._progress.remove_task(self._trials.pop(trial.id))
        self._count += 1
        if self._sweep is not None:
            self._progress.update(self._sweep, completed=self._count)
        self._show_time_left()
        style = "red" if record.status == "failed" else ""
        text = escape(f"[{self._count}/{self._total}] {_result(trial, record)}")
        self._progress.console.print(text, style=style, highlight=False)

    def warn(self, text: str) -> None:
        """Print a warning."""
        self._progress.console.print(escape(f"warning: {text}"), style="yellow", highlight=False)

    def _show_time_left(self) -> None:
        if self._sweep is not None:
            self._progress.update(self._sweep, note=self._times.sweep_left())


def progress_on(stream: TextIO, epochs: bool = False) -> LineProgress | BarProgress:
    """Return bars where the stream is a terminal, else lines; `epochs` adds a line for each epoch to the lines."""
    return BarProgress(Console(file=stream)) if stream.isatty() else LineProgress(stream, epochs)
