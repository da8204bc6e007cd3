"""A sweep from plan to results: what is done is read from the store, the rest is run and kept there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from qbench.sweep.executor import Executor
from qbench.sweep.plan import Trial
from qbench.sweep.store import Record, Store
from qbench.sweep.worker import Outcome


class Watcher(Protocol):
    """Shows a sweep's progress."""

    def begin(self, total: int, known: int) -> None:
        """`known` of `total` trials are in the store; the rest will run."""
        ...

    def started(self, trial: Trial) -> None: ...
    def epoch(self, trial: Trial, epoch: int, epochs: int) -> None: ...
    def done(self, trial: Trial, record: Record) -> None: ...
    def warn(self, text: str) -> None: ...


@dataclass
class Report:
    """What a run of a sweep did.

    Attributes:
        records: of the trials shown, in the plan's order; a trial without one has not run.
        ran: trials run now.
        interrupted: by Ctrl-C, before the end.
    """

    records: dict[str, Record] = field(default_factory=dict)
    ran: int = 0
    interrupted: bool = False

    @property
    def failed(self) -> list[Record]:
        """The trials that failed."""
        return [record for record in self.records.values() if record.status == "failed"]


def pending(trials: Sequence[Trial], store: Store, force: bool = False) -> list[Trial]:
    """The trials without a result: never run, or failed the last time.

    Raises:
        UserError: a damaged record.
    """
    return [trial for trial in trials if force or (record := store.get(trial.id)) is None or record.status == "failed"]


def run_sweep(
    trials: Sequence[Trial],
    shown: Sequence[Trial],
    store: Store,
    executor: Executor,
    watcher: Watcher,
    force: bool = False,
) -> Report:
    """Run the trials that have no result yet, keeping each as it ends, and write the results of `shown`.

    They are written before the first trial and after each, whole: a sweep that is killed leaves a row for every trial
    of `shown`, with the status `not run` for those it did not come to. The store must be open.

    Raises:
        UserError: a damaged record.
    """
    todo = pending(trials, store, force)
    report = Report(_stored(shown, store))
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


def _stored(trials: Sequence[Trial], store: Store) -> dict[str, Record]:
    return {trial.id: record for trial in trials if (record := store.get(trial.id)) is not None}


class _Keeper:
    """Between executor and watcher: puts each outcome into the store, and into the results, first."""

    def __init__(self, store: Store, watcher: Watcher, report: Report, shown: Sequence[Trial]) -> None:
        self._store = store
        self._watcher = watcher
        self._report = report
        self._shown = shown
        self._wandb_failed = False

    def started(self, trial: Trial) -> None:
        self._watcher.started(trial)

    def epoch(self, trial: Trial, epoch: int, epochs: int) -> None:
        self._watcher.epoch(trial, epoch, epochs)

    def finished(self, trial: Trial, outcome: Outcome) -> None:
        if outcome.error is None:
            record = self._store.put_result(trial, outcome)
        else:
            record = self._store.put_failure(trial, outcome.error, outcome.traceback)
        self._report.records[trial.id] = record
        self._report.ran += 1
        self._store.write_results(self._shown, self._report.records)
        self._watcher.done(trial, record)
        if outcome.wandb_failure is not None and not self._wandb_failed:
            self._wandb_failed = True
            self._watcher.warn(f"wandb: {outcome.wandb_failure}. Results are kept; wandb runs are missing or cut short")


def default_folder(name: str) -> Path:
    """Where a sweep goes unless told otherwise: `runs/<name>`."""
    return Path("runs") / name
