"""How long a sweep and its trials still take, by what they took so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass
class _Running:
    """A trial that runs: its epochs, and the epoch and time from which its speed is measured."""

    epochs: int | None
    start: float
    first: int = 0
    epoch: int = 0
    now: float = 0.0

    @property
    def share(self) -> float:
        """The share of its epochs that are done."""
        return self.epoch / self.epochs if self.epochs else 0.0


class SweepClock:
    """Estimates the time left, in proportion: of a trial by its epochs, of a sweep by its trials and their epochs.

    A trial that goes on from a checkpoint is timed from the first epoch that is heard of. Trials that run beside each
    other need no care: what counts is how much all of them do in a second.

    Args:
        clock: seconds from any start.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._todo = 0
        self._ended = 0
        self._running: dict[str, _Running] = {}

    def begin(self, todo: int) -> None:
        """Note how many trials will run."""
        self._start, self._todo = self._clock(), todo

    def started(self, trial_id: str, epochs: int | None) -> None:
        """Note that a trial begins, of `epochs` epochs where that is known."""
        if not self._running and not self._ended:  # worker processes take seconds to start
            self._start = self._clock()
        self._running[trial_id] = _Running(epochs, self._clock())

    def epoch(self, trial_id: str, epoch: int, epochs: int) -> None:
        """Note that a trial has trained `epoch` of its `epochs`."""
        trial = self._running.setdefault(trial_id, _Running(epochs, self._clock(), epoch))
        if (trial.epoch == 0 and epoch > 1) or epoch < trial.epoch:  # resumed, or its teacher was trained before it
            trial.first, trial.start = epoch, self._clock()
        trial.epochs, trial.epoch, trial.now = epochs, epoch, self._clock()

    def done(self, trial_id: str) -> None:
        """Note that a trial has ended."""
        self._running.pop(trial_id, None)
        self._ended += 1

    def trial_left(self, trial_id: str) -> str:
        """Return how long a trial still trains, `3 min left`; empty where nothing can be said yet."""
        trial = self._running.get(trial_id)
        if trial is None or trial.epochs is None or trial.epoch <= trial.first:
            return ""
        seconds = (trial.now - trial.start) / (trial.epoch - trial.first) * (trial.epochs - trial.epoch)
        return time_left(seconds)

    def sweep_left(self) -> str:
        """Return how long the sweep still takes; empty where nothing can be said yet."""
        finished = self._ended + sum(trial.share for trial in self._running.values())
        if not finished or self._todo <= self._ended:
            return ""
        return time_left((self._clock() - self._start) / finished * (self._todo - finished))


def time_left(seconds: float) -> str:
    """Return a duration in words, rounded.

    >>> time_left(12), time_left(200), time_left(3 * 3600 + 1000)
    ('12 s left', '3 min left', '3 h 17 min left')
    """
    if seconds < 90:
        return f"{round(seconds)} s left"
    minutes = round(seconds / 60)
    return f"{minutes} min left" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min left"
