"""The trials that differ in their seed alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qbench.errors import UserError
from qbench.report.statistics.confidence_interval import ConfidenceInterval, accuracy_interval, correct_matrix
from qbench.report.study import Study
from qbench.trial.agreement import agreement_fault
from qbench.trial.config import TrialConfig
from qbench.trial.details import TrialDetails
from qbench.trial.naming import long_name, short_names, varying_keys
from qbench.trial.record import TrialRecord

FOLDER = "folder"
"""The key that tells the studies of one report apart, where there are several."""


class ReportError(UserError):
    """Raised for results that cannot be compared."""


@dataclass(frozen=True)
class Group:
    """The trials that differ in their seed alone.

    Attributes:
        name: its label, or the scheme and what tells it from others, shortened: `binarynet width=32`; see
            `qbench.trial.naming.short_names`.
        config: the configuration that the trials share, flat.
        trials: those that are done.
        details: of the trials that have them, by trial id.
        failed: the trials that failed.
        not_run: how many are planned and have no record.
        accuracy: mean test accuracy with its interval; None if no trial is done.
        metrics: means over the seeds by the metric's name, None where no trial has it. `kernel/agreement` is the lowest
            over the seeds, because a single disagreement is a fault.
        pareto: whether the group is on the Pareto front of test accuracy (up), weight bytes and energy (down), by
            means; None if one of the three is missing, or where a check failed.
        front_probability: the share of bootstrap draws in which it is; None as for `pareto`.
        letters: groups that share a letter are not distinguishable in accuracy; None where pairs were not compared.
        reference: name of the float32 group that it is held against; None for that group itself, or without one.
        shares_training: names of the groups that share its trainings.
        long_name: the scheme and all settings that vary, whole: `binarynet model_options.width=32`.
    """

    name: str
    config: dict[str, Any]
    trials: tuple[TrialRecord, ...]
    details: Mapping[str, TrialDetails]
    failed: tuple[TrialRecord, ...]
    not_run: int
    accuracy: ConfidenceInterval | None
    metrics: dict[str, float | None]
    pareto: bool | None = None
    front_probability: float | None = None
    letters: str | None = None
    reference: str | None = None
    shares_training: tuple[str, ...] = ()
    long_name: str = ""

    @property
    def scheme(self) -> str:
        """The scheme's name."""
        return str(self.config.get("scheme"))

    @property
    def failed_checks(self) -> tuple[str, ...]:
        """What is wrong with trials that are done, a sentence each; such a group is on no front and saves nothing.

        Packed predictions that are not those of the network that was tested: see `agreement_fault`.
        """
        faults = ((trial.row["seed"], agreement_fault(trial.row, len(trial.labels))) for trial in self.trials)
        return tuple(f"seed {seed}: {fault}" for seed, fault in faults if fault is not None)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of the trials that are done."""
        return tuple(trial.row["seed"] for trial in self.trials)

    @property
    def runs(self) -> int:
        """Number of trials that are done."""
        return len(self.trials)

    @property
    def labels(self) -> list[int]:
        """The true classes of the test images; empty where no trial is done."""
        return self.trials[0].labels if self.trials else []

    def correct(self, seeds: Sequence[int] | None = None) -> NDArray[np.bool_]:
        """Return [S, N], whether the training with each of `seeds` (None: all) is right on each test image."""
        of_seed = {trial.row["seed"]: trial for trial in self.trials}
        chosen = [of_seed[seed] for seed in (self.seeds if seeds is None else seeds)]
        return correct_matrix([trial.predictions for trial in chosen], self.labels)

    def bounds(self, metric: str) -> tuple[float | None, float | None, float | None]:
        """Return a metric's low value, the value itself, and its high value; None for those that it lacks."""
        return self.metrics.get(f"{metric}_low"), self.metrics.get(metric), self.metrics.get(f"{metric}_high")

    def first_details(self) -> tuple[TrialRecord, TrialDetails] | None:
        """Return the trial with the lowest seed that has details, with them: what a view of one network shows."""
        having = [trial for trial in self.trials if trial.trial_id in self.details]
        first = min(having, key=lambda trial: trial.row["seed"], default=None)
        return None if first is None else (first, self.details[first.trial_id])

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, where the metrics keep their older name, `figures`."""
        accuracy = None if self.accuracy is None else vars(self.accuracy)
        return {
            "name": self.name,
            "long_name": self.long_name,
            "config": self.config,
            "seeds": self.seeds,
            "failed": len(self.failed),
            "accuracy": accuracy,
            "figures": self.metrics,
            "pareto": self.pareto,
            "front_probability": self.front_probability,
            "letters": self.letters,
            "reference": self.reference,
            "shares_training": self.shares_training,
            "failed_checks": self.failed_checks,
        }


def make_groups(studies: Sequence[Study]) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """Return the groups in the order of the trials, and the keys, other than scheme and seed, that vary among them.

    Raises:
        ReportError: trials of one group were tested on different images.
    """
    placed = [(config(record.row, study, studies), record, study) for study in studies for record in study.records]
    waiting = [(config(row, study, studies), None, study) for study in studies for row in study.not_run]
    known = [each for each in (*placed, *waiting) if each[0]]  # of some planned trials nothing is known
    configs = [each for each, _, _ in known]
    varying = varying_keys(configs)
    names = short_names(configs, [study.label_of(each) for each, _, study in known])
    members: dict[str, list[TrialRecord]] = {}
    not_run: dict[str, int] = {}
    of_name: dict[str, dict[str, Any]] = {}
    for name, (each, record, _) in zip(names, known, strict=True):
        of_name.setdefault(name, each)
        trials = members.setdefault(name, [])
        if record is None:
            not_run[name] = not_run.get(name, 0) + 1
        else:
            trials.append(record)
    groups = tuple(
        replace(
            _group(name, of_name[name], trials, _details(of_name[name], studies), not_run.get(name, 0)),
            long_name=long_name(of_name[name], varying),
        )
        for name, trials in members.items()
    )
    return groups, tuple(varying)


def _details(config: Mapping[str, Any], studies: Sequence[Study]) -> Mapping[str, TrialDetails]:
    """Return the details of the study that a group is of: equal trial ids of two folders are two trials."""
    return next(s.details for s in studies if len(studies) == 1 or study_label(s, studies) == config[FOLDER])


def config(row: Mapping[str, Any], study: Study, studies: Sequence[Study]) -> dict[str, Any]:
    """Return what a row says of the trial's configuration, without its seed; with `folder` where there are several."""
    found = {
        key: value for key, value in row.items() if key.partition(".")[0] in TrialConfig.model_fields and key != "seed"
    }
    return found | {FOLDER: study_label(study, studies)} if found and len(studies) > 1 else found


def study_label(study: Study, studies: Sequence[Study]) -> str:
    """Return what tells a study from the others: its name, or its folder where names are equal.

    Folders of equal names outside the working folder are numbered.
    """
    same = [other for other in studies if other.name == study.name]
    if len(same) == 1:
        return study.name
    alike = [other for other in same if other.place == study.place]
    return study.place if len(alike) == 1 else f"{study.place} ({alike.index(study) + 1})"


def _group(
    name: str, config: dict[str, Any], trials: list[TrialRecord], details: Mapping[str, TrialDetails], not_run: int
) -> Group:
    done = tuple(trial for trial in trials if trial.status == "done")
    return Group(
        name=name,
        config=config,
        trials=done,
        details={trial.trial_id: details[trial.trial_id] for trial in done if trial.trial_id in details},
        failed=tuple(trial for trial in trials if trial.status == "failed"),
        not_run=not_run,
        accuracy=_accuracy(name, done),
        metrics=_metrics(done),
    )


def _accuracy(name: str, done: Sequence[TrialRecord]) -> ConfidenceInterval | None:
    if not done:
        return None
    for trial in done:
        if trial.labels != done[0].labels:
            raise ReportError(
                f"{name}: seeds {done[0].row['seed']} and {trial.row['seed']} were tested on different images "
                f"(trials {done[0].trial_id}, {trial.trial_id}): their accuracies have no common mean"
            )
    seen: dict[int, str] = {}
    for trial in done:
        seed = trial.row["seed"]
        if seed in seen:
            raise ReportError(
                f"{name}: trials {seen[seed]} and {trial.trial_id} have the same settings and the seed {seed}: one "
                "training would count twice"
            )
        seen[seed] = trial.trial_id
    try:
        return accuracy_interval([trial.predictions for trial in done], done[0].labels)
    except ValueError as error:
        raise ReportError(f"{name}: {error}") from None


def _metrics(done: Sequence[TrialRecord]) -> dict[str, float | None]:
    names = dict.fromkeys(key for trial in done for key in trial.row if "/" in key)
    metrics: dict[str, float | None] = {}
    for name in names:
        values = [trial.row[name] for trial in done if trial.row.get(name) is not None]
        if any(isinstance(value, (str, bool)) for value in values):  # `kernel/ops`, `training/loop`: no number
            continue
        metrics[name] = (min if name == "kernel/agreement" else _mean)(values) if values else None
    return metrics


def _mean(values: Sequence[float]) -> float:
    """Return the mean; of equal values that value, which a rounded sum may miss: equal costs must compare as equal."""
    return values[0] if min(values) == max(values) else fmean(values)
