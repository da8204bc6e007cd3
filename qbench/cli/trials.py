"""Trials run from the command line: what `sweep` and `train` share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import typer

from qbench.cli.exit_codes import DONE, FAILED, INTERRUPTED
from qbench.cli.origin import run_facts
from qbench.report.visible import visible
from qbench.trial.agreement import AGREEMENT, agreement_fault

if TYPE_CHECKING:
    from qbench.report.model.report_model import ReportModel
    from qbench.sweep.executor import Executor
    from qbench.sweep.plan import PlannedTrial
    from qbench.sweep.store import Store
    from qbench.sweep.sweep_result import SweepResult


@dataclass(frozen=True)
class TrialsRun:
    """What became of the trials.

    Attributes:
        result: their records, and what was run now.
        report: the comparison made of them.
        store: where both are kept.
        shown: the trials that the results are about.
    """

    result: SweepResult
    report: ReportModel
    store: Store
    shown: Sequence[PlannedTrial]

    def to_dict(self, **more: Any) -> dict[str, Any]:
        """Return plain values, for JSON: those of `more`, what was run, what failed, the comparison."""
        failures = [
            {"trial_id": r.trial_id, "error": r.error, "traceback": str(self.store.traceback_file(r.trial_id))}
            for r in self.result.failed
        ]
        failed_checks = [
            {"trial_id": trial.id, "label": trial.label, "check": AGREEMENT, "error": fault}
            for trial, fault in self._failed_checks()
        ]
        done = {"output": str(self.store.folder), "ran": self.result.ran, "interrupted": self.result.interrupted}
        return {**more, **done, "failures": failures, "failed_checks": failed_checks, **self.report.as_dict()}

    def _failed_checks(self) -> list[tuple[PlannedTrial, str]]:
        """Return the trials that are done and whose packed predictions are others, with the sentence that says so."""
        records = self.result.records
        done = [(trial, records[trial.id]) for trial in self.shown if trial.id in records]
        faults = [(trial, agreement_fault(record.row, len(record.labels))) for trial, record in done]
        return [(trial, fault) for trial, fault in faults if fault is not None]

    def leave(self) -> None:
        """Name what went wrong, and end the command with its exit code."""
        labels = {trial.id: trial.label for trial in self.shown}
        for record in self.result.failed:
            print(visible(f"failed: {labels[record.trial_id]}: {record.error}"), file=sys.stderr)
            print(f"        traceback: {self.store.traceback_file(record.trial_id)}", file=sys.stderr)
        failed_checks = self._failed_checks()
        for trial, fault in failed_checks:
            print(visible(f"failed check: {trial.label}: {fault}"), file=sys.stderr)
        if self.result.interrupted:
            print("interrupted: what is done is kept; the same command goes on from here", file=sys.stderr)
            raise typer.Exit(INTERRUPTED)
        raise typer.Exit(FAILED if self.result.failed or failed_checks else DONE)


def run_trials(
    trials: Sequence[PlannedTrial],
    shown: Sequence[PlannedTrial],
    store: Store,
    executor: Executor,
    *,
    metric: str | None = None,
    goal: Literal["minimize", "maximize"] = "maximize",
    name: str | None = None,
    description: str | None = None,
    label: str | None = None,
    file: str | None = None,
    force: bool = False,
    epochs: bool = False,
) -> TrialsRun:
    """Run trials with their progress on standard error, and keep a summary of `shown` beside their results.

    How they were obtained is kept in `origin.json`, before the first one runs.

    Args:
        trials: to run, unless they are done.
        shown: the trials that the results are about.
        metric, goal: by which the best trial is named.
        name, description: of the sweep; None for trials of none.
        label: the sweep's template of rows' names.
        file: the sweep file's text.
        force: run those that are done too.
        epochs: show each epoch's end.
    """
    from qbench.report.commands.progress import progress_on
    from qbench.report.model.report_model import make_report
    from qbench.report.study import read_study
    from qbench.sweep.sweep import pending, run_sweep

    facts = {"name": name, "metric": metric, "goal": goal, "description": description, "file": file}
    if label is not None:
        facts["label"] = label
    with store.opened():
        store.write_origin(facts, run_facts(sys.argv) if pending(trials, store, force) else None)
        with progress_on(sys.stderr, epochs) as progress:
            result = run_sweep(trials, shown, store, executor, progress, force)
        report = make_report([read_study(store.folder)])
        store.write_summary(report.as_dict())
    return TrialsRun(result, report, store, shown)
