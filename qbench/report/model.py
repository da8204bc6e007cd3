"""What the trials of a sweep say together, as plain values that every renderer shows."""

from __future__ import annotations

import statistics as numbers
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from qbench.errors import UserError
from qbench.report.pareto import pareto_front
from qbench.report.statistics import ConfidenceInterval, accuracy_interval
from qbench.trial.record import TrialRecord

# Keys of a row that are neither the trial's config nor figures.
_IDENTITY = ("trial_id", "training_key", "shared")


class ReportError(UserError):
    """Results that cannot be compared."""


@dataclass(frozen=True)
class Group:
    """The trials that differ in their seed alone.

    Attributes:
        name: the scheme, and what else tells the group from the others: `binarynet model_options.width=32`.
        config: what they share, flat.
        seeds: of the trials that are done.
        failed: number of trials that failed.
        accuracy: None if no trial is done.
        figures: means over the seeds, None where no trial has the figure; `kernel/agreement` is the lowest, for one
            disagreement is a fault.
        pareto: on the front of test accuracy (up), weight bytes and energy (down), by means; None if it cannot be
            placed.
        shares_training: names of the groups whose trainings it shares.
    """

    name: str
    config: dict[str, Any]
    seeds: tuple[int, ...]
    failed: int
    accuracy: ConfidenceInterval | None
    figures: dict[str, float | None]
    pareto: bool | None = None
    shares_training: tuple[str, ...] = ()

    @property
    def runs(self) -> int:
        """Trials that are done."""
        return len(self.seeds)


@dataclass(frozen=True)
class Best:
    """The best trial by the sweep's metric."""

    metric: str
    value: float
    name: str
    seed: int
    trial_id: str


@dataclass(frozen=True)
class ReportModel:
    """The comparison.

    Attributes:
        groups: in the order of the trials.
        planned, done, failed: numbers of trials.
        budgets: for each group that trained for another number of epochs, or from another rate, than most: what it
            had and what the others had, unless the sweep varied just that.
        best: None without a metric or without a trial that has it.
    """

    groups: tuple[Group, ...]
    planned: int
    done: int
    failed: int
    budgets: tuple[str, ...] = ()
    best: Best | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def make_report(
    records: Sequence[TrialRecord],
    planned: int,
    metric: str | None = None,
    goal: Literal["minimize", "maximize"] = "minimize",
) -> ReportModel:
    """The comparison of trials.

    Args:
        records: done and failed ones.
        planned: trials of the sweep, run or not.
        metric, goal: by which the best trial is named.

    Raises:
        ReportError: trials of one group were tested on different images.
    """
    configs = [_config(record.row) for record in records]
    keys = list(dict.fromkeys(key for config in configs for key in config))
    varying = [key for key in keys if key != "scheme" and len({repr(config.get(key)) for config in configs}) > 1]
    members: dict[str, list[TrialRecord]] = {}
    for record, config in zip(records, configs, strict=True):
        name = " ".join(
            [str(config.get("scheme")), *(f"{key}={config[key]}" for key in varying if config.get(key) is not None)]
        )
        members.setdefault(name, []).append(record)
    groups = [_group(name, trials) for name, trials in members.items()]
    fronts = pareto_front([_coordinates(group) for group in groups])
    shared = _sharing(members)
    groups = [
        Group(**{**group.__dict__, "pareto": front, "shares_training": shared[group.name]})
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


def _group(name: str, trials: list[TrialRecord]) -> Group:
    done = [trial for trial in trials if trial.status == "done"]
    return Group(
        name=name,
        config=_config(trials[0].row),
        seeds=tuple(trial.row["seed"] for trial in done),
        failed=len(trials) - len(done),
        accuracy=_accuracy(name, done),
        figures=_figures(done),
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


def _figures(done: list[TrialRecord]) -> dict[str, float | None]:
    names = dict.fromkeys(key for trial in done for key in trial.row if "/" in key)
    figures: dict[str, float | None] = {}
    for name in names:
        values = [trial.row[name] for trial in done if trial.row.get(name) is not None]
        if any(isinstance(value, (str, bool)) for value in values):
            continue
        figures[name] = (min if name == "kernel/agreement" else numbers.fmean)(values) if values else None
    return figures


def _coordinates(group: Group) -> tuple[float | None, ...]:
    costs = [group.figures.get(name) for name in ("cost/weight_bytes", "cost/energy_uj")]
    return (group.accuracy.mean if group.accuracy else None, *(None if cost is None else -cost for cost in costs))


def _sharing(members: Mapping[str, list[TrialRecord]]) -> dict[str, tuple[str, ...]]:
    keys = {name: {trial.row.get("training_key") for trial in trials} - {None} for name, trials in members.items()}
    return {name: tuple(other for other in keys if other != name and keys[other] & mine) for name, mine in keys.items()}


def _budgets(groups: Sequence[Group], varying: Sequence[str]) -> tuple[str, ...]:
    watched = [
        (figure, text)
        for figure, text, key in (
            ("training/epochs", "{:g} epochs", "epochs"),
            ("training/learning_rate_start", "a start rate of {:g}", "learning_rate"),
        )
        if key not in varying
    ]
    usual = {}
    for figure, _ in watched:
        counts = Counter(value for group in groups if (value := group.figures.get(figure)) is not None)
        usual[figure] = counts.most_common(1)[0][0] if counts else None
    notes = []
    for group in groups:
        others = [(f, t) for f, t in watched if group.figures.get(f) not in (None, usual[f])]
        if others:
            own = " and ".join(text.format(group.figures[figure]) for figure, text in others)
            most = " and ".join(text.format(usual[figure]) for figure, text in others)
            notes.append(f"{group.name}: {own} (most others: {most})")
    return tuple(notes)


def _best(members: Mapping[str, list[TrialRecord]], metric: str | None, goal: str) -> Best | None:
    candidates = [
        Best(metric, value, name, trial.row["seed"], trial.trial_id)
        for name, trials in members.items()
        for trial in trials
        if metric is not None and trial.status == "done" and (value := trial.row.get(metric)) is not None
    ]
    if not candidates:
        return None
    return (max if goal == "maximize" else min)(candidates, key=lambda best: best.value)
