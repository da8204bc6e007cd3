"""The comparison of a sweep's trials, as plain values that every renderer shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any, Literal

from qbench.errors import UserError
from qbench.report.confidence_interval import ConfidenceInterval, accuracy_interval
from qbench.report.pareto import pareto_front
from qbench.trial.record import TrialRecord

# Keys of a row that are neither the trial's configuration nor metrics.
_IDENTITY = ("trial_id", "training_key", "shared")
# What a fair comparison holds equal: the metric, its text, and the configuration's key that varies it on purpose.
_BUDGET = (
    ("training/epochs", "{:g} epochs", "epochs"),
    ("training/learning_rate_start", "an initial learning rate of {:g}", "learning_rate"),
)


class ReportError(UserError):
    """Raised for results that cannot be compared."""


@dataclass(frozen=True)
class Group:
    """The trials that differ in their seed alone.

    Attributes:
        name: the scheme, and the options in which the group differs from others: `binarynet model_options.width=32`.
        config: the configuration that the trials share, flat.
        seeds: of the trials that are done.
        failed: number of trials that failed.
        accuracy: mean test accuracy with its interval; None if no trial is done.
        metrics: means over the seeds by the metric's name, None where no trial has it. `kernel/agreement` is the lowest
            over the seeds, because a single disagreement is a fault.
        pareto: whether the group is on the Pareto front of test accuracy (up), weight bytes and energy (down), by
            means; None if one of the three is missing.
        shares_training: names of the groups that share its trainings.
    """

    name: str
    config: dict[str, Any]
    seeds: tuple[int, ...]
    failed: int
    accuracy: ConfidenceInterval | None
    metrics: dict[str, float | None]
    pareto: bool | None = None
    shares_training: tuple[str, ...] = ()

    @property
    def runs(self) -> int:
        """Number of trials that are done."""
        return len(self.seeds)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, where the metrics keep their older name, `figures`."""
        return {"figures" if key == "metrics" else key: value for key, value in asdict(self).items()}


@dataclass(frozen=True)
class BestTrial:
    """The best trial by the sweep's metric.

    Attributes:
        metric, value: the metric's name, and the trial's value of it.
        name: of the trial's group.
        seed, trial_id: of the trial.
    """

    metric: str
    value: float
    name: str
    seed: int
    trial_id: str


@dataclass(frozen=True)
class ReportModel:
    """The comparison of all trials of a sweep.

    Attributes:
        groups: in the order of the trials.
        planned, done, failed: numbers of trials.
        budgets: a line for each group whose number of epochs or initial learning rate is not that of most groups,
            unless the sweep varies it on purpose.
        best: the best trial; None without a metric, or where no trial has it.
    """

    groups: tuple[Group, ...]
    planned: int
    done: int
    failed: int
    budgets: tuple[str, ...] = ()
    best: BestTrial | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: summary.json."""
        return {**asdict(self), "groups": tuple(group.as_dict() for group in self.groups)}


def make_report(
    records: Sequence[TrialRecord],
    planned: int,
    metric: str | None = None,
    goal: Literal["minimize", "maximize"] = "minimize",
) -> ReportModel:
    """Compare trials.

    Args:
        records: trials that are done, and those that failed.
        planned: number of trials of the sweep, run or not.
        metric: name of the metric that chooses the best trial.
        goal: whether its smallest or its largest value is the best.

    Raises:
        ReportError: trials of one group were tested on different images.
    """
    varying = _varying(records)
    members = _members(records, varying)
    groups = [_group(name, trials) for name, trials in members.items()]
    fronts = pareto_front([_coordinates(group) for group in groups])
    shared = _sharing(members)
    groups = [
        replace(group, pareto=front, shares_training=shared[group.name])
        for group, front in zip(groups, fronts, strict=True)
    ]
    return ReportModel(
        groups=tuple(groups),
        planned=planned,
        done=sum(group.runs for group in groups),
        failed=sum(group.failed for group in groups),
        budgets=_budgets(groups, varying),
        best=_best(members, metric, goal),
    )


def _config(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if "/" not in key and key not in (*_IDENTITY, "seed")}


def _varying(records: Sequence[TrialRecord]) -> list[str]:
    """Return the keys, other than scheme and seed, in which the trials' configurations differ."""
    configs = [_config(record.row) for record in records]
    keys = list(dict.fromkeys(key for config in configs for key in config))
    return [key for key in keys if key != "scheme" and len({repr(config.get(key)) for config in configs}) > 1]


def _members(records: Sequence[TrialRecord], varying: Sequence[str]) -> dict[str, list[TrialRecord]]:
    """Return the trials of each group, by its name."""
    members: dict[str, list[TrialRecord]] = {}
    for record in records:
        config = _config(record.row)
        options = [f"{key}={config[key]}" for key in varying if config.get(key) is not None]
        members.setdefault(" ".join([str(config.get("scheme")), *options]), []).append(record)
    return members


def _group(name: str, trials: list[TrialRecord]) -> Group:
    done = [trial for trial in trials if trial.status == "done"]
    return Group(
        name=name,
        config=_config(trials[0].row),
        seeds=tuple(trial.row["seed"] for trial in done),
        failed=len(trials) - len(done),
        accuracy=_accuracy(name, done),
        metrics=_metrics(done),
    )


def _accuracy(name: str, done: list[TrialRecord]) -> ConfidenceInterval | None:
    if not done:
        return None
    for trial in done:
        if trial.labels != done[0].labels:
            raise ReportError(
                f"{name}: seeds {done[0].row['seed']} and {trial.row['seed']} were tested on different images "
                f"(trials {done[0].trial_id}, {trial.trial_id}): their accuracies have no common mean"
            )
    try:
        return accuracy_interval([trial.predictions for trial in done], done[0].labels)
    except ValueError as error:
        raise ReportError(f"{name}: {error}") from None


def _metrics(done: list[TrialRecord]) -> dict[str, float | None]:
    names = dict.fromkeys(key for trial in done for key in trial.row if "/" in key)
    metrics: dict[str, float | None] = {}
    for name in names:
        values = [trial.row[name] for trial in done if trial.row.get(name) is not None]
        if any(isinstance(value, (str, bool)) for value in values):  # `kernel/ops`, `training/loop`: no number
            continue
        metrics[name] = (min if name == "kernel/agreement" else fmean)(values) if values else None
    return metrics


def _coordinates(group: Group) -> tuple[float | None, ...]:
    """Return the group's point for the Pareto front: larger is better in each coordinate."""
    costs = [group.metrics.get(name) for name in ("cost/weight_bytes", "cost/energy_uj")]
    return (group.accuracy.mean if group.accuracy else None, *(None if cost is None else -cost for cost in costs))


def _sharing(members: Mapping[str, list[TrialRecord]]) -> dict[str, tuple[str, ...]]:
    """Return for each group the names of the others that share a training with it."""
    keys = {name: {trial.row.get("training_key") for trial in trials} - {None} for name, trials in members.items()}
    return {name: tuple(other for other in keys if other != name and keys[other] & mine) for name, mine in keys.items()}


def _budgets(groups: Sequence[Group], varying: Sequence[str]) -> tuple[str, ...]:
    """Return `ReportModel.budgets`; `varying` are the keys that the sweep varies."""
    watched = {metric: text for metric, text, key in _BUDGET if key not in varying}
    usual: dict[str, float | None] = {}
    for metric in watched:
        counts = Counter(value for group in groups if (value := group.metrics.get(metric)) is not None)
        usual[metric] = counts.most_common(1)[0][0] if counts else None
    notes = []
    for group in groups:
        others = [metric for metric in watched if group.metrics.get(metric) not in (None, usual[metric])]
        if others:
            own = " and ".join(watched[metric].format(group.metrics[metric]) for metric in others)
            most = " and ".join(watched[metric].format(usual[metric]) for metric in others)
            notes.append(f"{group.name}: {own} (most others: {most})")
    return tuple(notes)


def _best(members: Mapping[str, list[TrialRecord]], metric: str | None, goal: str) -> BestTrial | None:
    candidates = [
        BestTrial(metric, value, name, trial.row["seed"], trial.trial_id)
        for name, trials in members.items()
        for trial in trials
        if metric is not None and trial.status == "done" and (value := trial.row.get(metric)) is not None
    ]
    if not candidates:
        return None
    return (max if goal == "maximize" else min)(candidates, key=lambda best: best.value)
