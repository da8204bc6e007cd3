"""Where trials run: the contract of executors, and the one that runs them in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from qbench.sweep.plan import PlannedTrial, Training
from qbench.sweep.trial_runner import Setup, TrialRunner
from qbench.trial.result import TrialResult


class TrialListener(Protocol):
    """Told what happens to trials, in the process that runs the sweep."""

    def started(self, trial: PlannedTrial) -> None:
        """Hear that a trial begins."""
        ...

    def epoch(self, trial: PlannedTrial, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        """Hear that a trial has trained `epoch` of its `epochs`, and the metrics of that one."""
        ...

    def finished(self, trial: PlannedTrial, result: TrialResult, wandb_failure: str | None) -> None:
        """Hear a trial's result, and why wandb has no whole run of it (None where it has)."""
        ...


class Executor(Protocol):
    """Runs trials. A trial's failure is its result, never an exception; an exception of the listener ends the run."""

    def run(self, trials: Sequence[PlannedTrial], listener: TrialListener) -> None:
        """Run every trial once, in any order."""
        ...


class InProcessExecutor:
    """One trial after the other, in this process."""

    def __init__(self, setup: Setup, training: Training) -> None:
        self._runner = TrialRunner(setup, training)

    def run(self, trials: Sequence[PlannedTrial], listener: TrialListener) -> None:
        """Run the trials in their order."""
        for trial in trials:
            listener.started(trial)

            def on_epoch(epoch: int, epochs: int, metrics: Mapping[str, float], trial: PlannedTrial = trial) -> None:
                listener.epoch(trial, epoch, epochs, metrics)

            listener.finished(trial, *self._runner.run(trial, on_epoch))
