"""A sweep from plan to results: what is done is read from the store, the rest is run and kept there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from qbench.sweep.executor import Executor
from qbench.sweep.plan import PlannedTrial
from qbench.sweep.store import Store
from qbench.sweep.sweep_result import SweepResult
from qbench.trial.record import TrialRecord
from qbench.trial.result import TrialResult


class SweepProgress(Protocol):
    """Shows a sweep's progress."""

    def begin(self, total: int, known: int) -> None:
        """Show that `known` of `total` trials are in the store; the rest will run."""
        ...

    def started(self, trial: PlannedTrial) -> None:
        """Show that a trial begins."""
        ...

    def epoch(self, trial: PlannedTrial, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        """Show that a trial has trained `epoch` of its `epochs`, and the metrics of that one."""
        ...

    def done(self, trial: PlannedTrial, record: TrialRecord) -> None:
        """Show a trial's record, which is in the store by now."""
        ...

    def warn(self, text: str) -> None:
        """Show what went wrong beside the trials."""
        ...


def pending(trials: Sequence[PlannedTrial], store: Store, force: bool = False) -> list[PlannedTrial]:
    """Return the trials without a result: never run, or failed the last time; with `force`, all of them.

    Raises:
        UserError: a damaged record.
    """
    return [trial for trial in trials if force or (record := store.get(trial.id)) is None or record.status == "failed"]


def run_sweep(
    trials: Sequence[PlannedTrial],
    shown: Sequence[PlannedTrial],
    store: Store,
    executor: Executor,
    progress: SweepProgress,
    force: bool = False,
) -> SweepResult:
    """Run the trials that have no result yet, keeping each as it ends, and write the results of `shown`.

    They are written before the first trial and after each, whole: a sweep that is killed leaves a row for every trial
    of `shown`, with the status `not run` for those it did not come to. The store must be open.

    Raises:
        UserError: a damaged record.
    """
    todo = pending(trials, store, force)
    result = SweepResult(_stored(shown, store))
    progress.begin(len(trials), len(trials) - len(todo))
    try:
        if todo:
            store.drop_summary()
            store.write_results(shown, result.records)
            executor.run(todo, _KeepingListener(store, progress, result, shown))
    except KeyboardInterrupt:
        result.interrupted = True
    result.records = _stored(shown, store)
    store.write_results(shown, result.records)
    return result


def _stored(trials: Sequence[PlannedTrial], store: Store) -> dict[str, TrialRecord]:
    return {trial.id: record for trial in trials if (record := store.get(trial.id)) is not None}


class _KeepingListener:
    """Puts each result into the store and the tables, then shows it."""

    def __init__(
        self, store: Store, progress: SweepProgress, result: SweepResult, shown: Sequence[PlannedTrial]
    ) -> None:
        self._store = store
        self._progress = progress
        self._result = result
        self._shown = shown
        self._wandb_failed = False

    def started(self, trial: PlannedTrial) -> None:
        self._progress.started(trial)

    def epoch(self, trial: PlannedTrial, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
        self._progress.epoch(trial, epoch, epochs, metrics)

    def finished(self, trial: PlannedTrial, result: TrialResult, wandb_failure: str | None) -> None:
        if result.error is None:
            record = self._store.put_result(trial, result)
        else:
            record = self._store.put_failure(trial, result.error, result.traceback)
        self._result.records[trial.id] = record
        self._result.ran += 1
        self._store.write_results(self._shown, self._result.records)
        self._progress.done(trial, record)
        if wandb_failure is not None and not self._wandb_failed:
            self._wandb_failed = True
            self._progress.warn(f"wandb: {wandb_failure}. Results are kept; wandb runs are missing or cut short")


def default_output(name: str) -> Path:
    """Return where a sweep of this name goes unless told otherwise: `runs/<name>`."""
    return Path("runs") / name
