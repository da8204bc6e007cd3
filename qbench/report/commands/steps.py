"""The progress of a long command that is a number of steps: a bar on a terminal, lines in a file or a pipe."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from qbench.report.commands.time_left import SweepClock
from qbench.report.visible import visible


class StepLines:
    """A line for each step, as it begins: `[3/25] set 1: kl`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> StepLines:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.flush()

    def __call__(self, number: int, total: int, text: str) -> None:
        """Print that step `number` of `total`, counted from 1, begins."""
        print(visible(f"[{number}/{total}] {text}"), file=self._stream, flush=True)


class StepBar:
    """A bar with the step that is under way, and the time left. What is printed meanwhile stands above it.

    Standard output that is a pipe is left alone: nothing of the bar gets into it.
    """

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            BarColumn(bar_width=20), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"),
            console=console, transient=True, redirect_stdout=sys.stdout.isatty(),
        )  # fmt: skip
        self._task = self._progress.add_task("", total=None)
        self._times = SweepClock()

    def __enter__(self) -> StepBar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, number: int, total: int, text: str) -> None:
        """Show that step `number` of `total`, counted from 1, begins."""
        if number == 1:
            self._times.begin(total)
        else:
            self._times.done(str(number))
        words = ", ".join(filter(None, [text, self._times.sweep_left()]))
        self._progress.update(self._task, completed=number - 1, total=total, description=escape(visible(words)))


def steps_on(stream: TextIO) -> StepLines | StepBar:
    """Return a bar where the stream is a terminal, else lines."""
    return StepBar(Console(file=stream)) if stream.isatty() else StepLines(stream)
