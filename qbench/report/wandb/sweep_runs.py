"""Which wandb runs are those of a report's trials."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qbench.report.model.group import FOLDER
from qbench.report.model.report_model import ReportModel
from qbench.report.study import Study
from qbench.sweep.config import sweep_identity
from qbench.sweep.wandb_service import COMPARISON, run_id

MAX_PINNED = 20
"""wandb pins no more runs."""


@dataclass(frozen=True)
class SweepRuns:
    """The wandb runs of one or several studies.

    Attributes:
        sweep_ids: the runs' groups, one for each study; empty where a study does not say which it was (those of an
            earlier version do not).
        trial_ids: of all trials with a record, by which their runs are found where there is no group to go by.
    """

    sweep_ids: tuple[str, ...]
    trial_ids: tuple[str, ...]

    @property
    def comparison_run_ids(self) -> tuple[str, ...]:
        """The ids of the runs that hold the comparison's tables."""
        return tuple(run_id(sweep_id, COMPARISON) for sweep_id in self.sweep_ids)


def sweep_id_of(study: Study) -> str | None:
    """Return the id of the sweep that made a study; None where its folder does not hold the sweep's file."""
    name, text = study.origin.get("name"), study.origin.get("file")
    return sweep_identity(name, text) if isinstance(name, str) and isinstance(text, str) and text else None


def runs_of(model: ReportModel) -> SweepRuns:
    """Return the runs of a report's trials."""
    ids = [sweep_id_of(study) for study in model.studies]
    trials = tuple(record.trial_id for study in model.studies for record in study.records)
    return SweepRuns(() if None in ids else tuple(each for each in ids if each), trials)


def baseline_runs(model: ReportModel) -> list[str]:
    """Return the ids of the runs that others are held against, at most `MAX_PINNED`: the float32 trials.

    The first is that of the lowest seed of the first reference. Empty where a study does not say which sweep it was.
    """
    names = dict.fromkeys(group.reference for group in model.groups if group.reference is not None)
    trials = [
        trial.trial_id
        for name in names
        for trial in sorted(model.group(name).trials, key=lambda trial: int(trial.row["seed"]))
    ]
    of_study = {
        record.trial_id: sweep_id
        for study in model.studies
        if (sweep_id := sweep_id_of(study)) is not None
        for record in study.records
    }
    return [run_id(of_study[trial], trial) for trial in trials if trial in of_study][:MAX_PINNED]


def grouping(varying: Iterable[str]) -> list[str]:
    """Return the keys of a run's config that make its group: the scheme and what else varies, but the seed."""
    return ["scheme", *("sweep_name" if key == FOLDER else key for key in varying)]
