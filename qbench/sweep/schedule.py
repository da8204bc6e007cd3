"""The order in which trials are handed to workers."""

from __future__ import annotations

import collections
from collections.abc import Sequence

from qbench.sweep.plan import PlannedTrial


class Schedule:
    """Which trial an idle worker takes next.

    Trials with one training_key share one training under a lock. The first of them leads: it trains. The others follow
    when the training is there; until then they wait here, where they occupy no worker. Leaders go before followers,
    because they take longer.
    """

    def __init__(self, trials: Sequence[PlannedTrial]) -> None:
        self._waiting = list(trials)
        self._running: collections.Counter[str] = collections.Counter()
        self._trained: set[str] = set()

    def __bool__(self) -> bool:
        """Return whether a trial still waits."""
        return bool(self._waiting)

    def take(self) -> PlannedTrial | None:
        """Return the next trial for a worker; None if each one left waits for a training that is under way."""
        follower = None
        for trial in self._waiting:
            key = trial.training_key
            if key in self._trained:
                follower = follower or trial
            elif not self._running[key]:
                return self._start(trial)
        return self._start(follower) if follower is not None else None

    def _start(self, trial: PlannedTrial) -> PlannedTrial:
        self._waiting.remove(trial)
        self._running[trial.training_key] += 1
        return trial

    def end(self, trial: PlannedTrial, succeeded: bool) -> None:
        """Note that a trial has ended; after a failure the next of its key leads."""
        self._running[trial.training_key] -= 1
        if succeeded:
            self._trained.add(trial.training_key)
