"""A sweep from plan to results: what is done is read from the store, the rest is run and kept there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from qbench.sweep.executor import Executor
from qbench.sweep.plan import PlannedTrial
from qbench.sweep.store import Store
from qbench.trial.record import TrialRecord
from qbench.trial.result import TrialResult


class Watcher(Protocol):
    """Shows a sweep's progress."""

    def begin(self, total: int, known: int) -> None:
        """`known` of `total` trials are in the store; the rest will run."""
        ...

    def started(self, trial: PlannedTrial) -> None: ...
    def epoch(self, trial: PlannedTrial, epoch: int, epochs: int) -> None: ...
    def done(self, trial: PlannedTrial, record: TrialRecord) -> None: ...
    def warn(self, text: str) -> None: ...


@dataclass
class SweepResult:
    """What a run of a sweep did.

    Attributes:
        records: of the trials shown, in the plan's order; a trial without one has not run.
        ran: trials run now.
        interrupted: by Ctrl-C, before the end.
    """

    records: dict[str, TrialRecord] = field(default_factory=dict)
    ran: int = 0
    interrupted: bool = False

    @property
    def failed(self) -> list[TrialRecord]:
        """The trials that failed."""
        return [record for record in self.records.values() if record.status == "failed"]


def pending(trials: Sequence[PlannedTrial], store: Store, force: bool = False) -> list[PlannedTrial]:
    """The trials without a result: never run, or failed the last time.

    Raises:
        UserError: a damaged record.
    """
    return [trial for trial in trials if force or (record := store.get(trial.id)) is None or record.status == "failed"]


def run_sweep(
    trials: Sequence[PlannedTrial],
    shown: Sequence[PlannedTrial],
    store: Store,
    executor: Executor,
    watcher: Watcher,
    force: bool = False,
) -> SweepResult:
    """Run the trials that have no result yet, keeping each as it ends, and write the results of `shown`.

    They are written before the first trial and after each, whole: a sweep that is killed leaves a row for every trial
    of `shown`, with the status `not run` for those it did not come to. The store must be open.

    Raises:
        UserError: a damaged record.
    """
    todo = pending(trials, store, force)
    report = SweepResult(_stored(shown, store))
    watcher.begin(len(trials), len(trials) - len(todo))
    try:
        if todo:
            store.drop_summary()
            store.write_results(shown, report.records)
            executor.run(todo, _Keeper(store, watcher, report, shown))
    except KeyboardInterrupt:
        report.interrupted = True
    report.records = _stored(shown, store)
    store.write_results(shown, report.records)
    return report


def _stored(trials: Sequence[PlannedTrial], store: Store) -> dict[str, TrialRecord]:
    return {trial.id: record for trial in trials if (record := store.get(trial.id)) is not None}


class _Keeper:
    """Between executor and watcher: puts each result into the store, and into the results, first."""

    def __init__(self, store: Store, watcher: Watcher, report: SweepResult, shown: Sequence[PlannedTrial]) -> None:
        self._store = store
        self._watcher = watcher
        self._report = report
        self._shown = shown
        self._wandb_failed = False

    def started(self, trial: PlannedTrial) -> None:
        self._watcher.started(trial)

    def epoch(self, trial: PlannedTrial, epoch: int, epochs: int) -> None:
        self._watcher.epoch(trial, epoch, epochs)

    def finished(self, trial: PlannedTrial, result: TrialResult, wandb_failure: str | None) -> None:
        if result.error is None:
            record = self._store.put_result(trial, result)
        else:
            record = self._store.put_failure(trial, result.error, result.traceback)
        self._report.records[trial.id] = record
        self._report.ran += 1
        self._store.write_results(self._shown, self._report.records)
        self._watcher.done(trial, record)
        if wandb_failure is not None and not self._wandb_failed:
            self._wandb_failed = True
            self._watcher.warn(f"wandb: {wandb_failure}. Results are kept; wandb runs are missing or cut short")


def default_output(name: str) -> Path:
    """Where a sweep goes unless told otherwise: `runs/<name>`."""
    return Path("runs") / name
