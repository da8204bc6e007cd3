"""The comparison of all trials of one or several sweeps."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from qbench.report.model.comparison import MAX_GROUPS, Comparison, compare_all
from qbench.report.model.group import FOLDER, Group, make_groups
from qbench.report.model.images import on_same_images
from qbench.report.model.reference import reference_of
from qbench.report.model.wording import listed
from qbench.report.statistics.front_probability import front_probability
from qbench.report.statistics.letters import letters
from qbench.report.statistics.pareto import pareto_front
from qbench.report.study import Study
from qbench.trial.naming import Identity, identity

COSTS = ("cost/weight_bytes", "cost/energy_uj")
"""The costs that the Pareto front weighs against test accuracy."""
# What a fair comparison holds equal: the metric, its text, and the configuration's key that varies it on purpose.
_BUDGET = (
    ("training/epochs", "{:g} epochs", "epochs"),
    ("training/learning_rate_start", "an initial learning rate of {:g}", "learning_rate"),
    ("training/optimizer", "the optimizer {}", "scheme_options.optimizer"),
    ("training/loss_function", "the loss {}", "scheme_options.loss"),
)


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
    """The comparison of all trials of one or several sweeps: all numbers that any renderer shows.

    Attributes:
        studies: what was read.
        groups: in the order of the trials.
        varying: the settings, other than scheme and seed, that vary.
        comparisons: pairs of groups, corrected for their number.
        planned, done, failed: numbers of trials.
        budgets: a line for each group whose number of epochs, initial learning rate, optimizer or loss is not that of
            most groups, unless the sweep varies it on purpose.
        best: the best trial; None without a metric, or where no trial has it.
    """

    studies: tuple[Study, ...]
    groups: tuple[Group, ...]
    varying: tuple[str, ...]
    comparisons: tuple[Comparison, ...]
    planned: int
    done: int
    failed: int
    budgets: tuple[str, ...] = ()
    best: BestTrial | None = None

    @property
    def not_run(self) -> int:
        """Number of planned trials without a record."""
        return self.planned - self.done - self.failed

    @property
    def title(self) -> str:
        """The studies' names."""
        return ", ".join(study.name for study in self.studies)

    def group(self, name: str) -> Group:
        """Return the group of this name."""
        return next(group for group in self.groups if group.name == name)

    def name_of(self, settings: Mapping[str, Any]) -> str:
        """Return the name of the group whose configuration, flat, is `settings`."""
        return self._names[identity(settings)]

    @functools.cached_property
    def _names(self) -> dict[Identity, str]:
        return {identity(group.config): group.name for group in self.groups}

    def comparison(self, first: str, second: str) -> Comparison | None:
        """Return the comparison of two groups as it was made, in either order; None where they were not compared."""
        wanted = {first, second}
        return next((each for each in self.comparisons if {each.first, each.second} == wanted), None)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: summary.json."""
        return {
            "groups": [group.as_dict() for group in self.groups],
            "planned": self.planned,
            "done": self.done,
            "failed": self.failed,
            "budgets": self.budgets,
            "best": None if self.best is None else asdict(self.best),
            "comparisons": [asdict(each) | {"distinguishable": each.distinguishable} for each in self.comparisons],
        }


def make_report(studies: Sequence[Study]) -> ReportModel:
    """Compare the trials of one or several studies.

    Raises:
        ReportError: trials of one group were tested on different images.
    """
    groups, varying = make_groups(studies)
    references = [reference_of(group, groups, varying) for group in groups]
    comparisons = compare_all(groups, references)
    fronts = _fronts(groups)
    letter = _letters(groups, comparisons)
    shared = _sharing(groups)
    groups = tuple(
        replace(
            group,
            pareto=front,
            front_probability=probability,
            letters=letter.get(group.name),
            reference=None if reference is None else reference.name,
            shares_training=shared[group.name],
        )
        for group, reference, (front, probability) in zip(groups, references, fronts, strict=True)
    )
    return ReportModel(
        studies=tuple(studies),
        groups=groups,
        varying=varying,
        comparisons=comparisons,
        planned=sum(study.planned for study in studies),
        done=sum(group.runs for group in groups),
        failed=sum(len(group.failed) for group in groups),
        budgets=_budgets(groups, varying),
        best=_best(studies, groups),
    )


def _fronts(groups: Sequence[Group]) -> list[tuple[bool | None, float | None]]:
    """Return for each group whether it is on the front of the groups tested on its images, and how surely.

    A group with a failed check has no place, and keeps nobody off: its costs are of a network that predicts otherwise.
    """
    answers: list[tuple[bool | None, float | None]] = [(None, None)] * len(groups)
    for together in on_same_images(range(len(groups)), groups.__getitem__):
        members = [groups[index] for index in together]
        costs = [tuple(group.metrics.get(name) for name in COSTS) for group in members]
        front = pareto_front(
            [
                (
                    group.accuracy.mean if group.accuracy and not group.failed_checks else None,
                    *(None if cost is None else -cost for cost in each),
                )
                for group, each in zip(members, costs, strict=True)
            ]
        )
        correct = [group.correct() if group.trials and not group.failed_checks else None for group in members]
        sure = front_probability(correct, costs, [group.seeds for group in members])
        for index, on, probability in zip(together, front, sure, strict=True):
            answers[index] = (on, probability)
    return answers


def _letters(groups: Sequence[Group], comparisons: Sequence[Comparison]) -> dict[str, str]:
    """Return each group's letters, from the most accurate group on; none where not all pairs were compared."""
    done = sorted((g for g in groups if g.accuracy), key=lambda g: -g.accuracy.mean if g.accuracy else 0.0)
    if len(groups) > MAX_GROUPS or len(done) < 2:
        return {}
    place = {group.name: index for index, group in enumerate(done)}
    pairs = [each for each in comparisons if each.first in place and each.second in place]
    if any(each.distinguishable is None for each in pairs):
        return {}
    apart = [(place[each.first], place[each.second]) for each in pairs if each.distinguishable]
    return dict(zip(place, letters(len(done), apart), strict=True))


def _sharing(groups: Sequence[Group]) -> dict[str, tuple[str, ...]]:
    """Return for each group the names of the others that share a training with it: two folders share none."""
    keys = {
        group.name: {
            (group.config.get(FOLDER), key)
            for trial in (*group.trials, *group.failed)
            if (key := trial.row.get("training_key")) is not None
        }
        for group in groups
    }
    return {name: tuple(other for other in keys if other != name and keys[other] & mine) for name, mine in keys.items()}


def _budgets(groups: Sequence[Group], varying: Sequence[str]) -> tuple[str, ...]:
    """Return `ReportModel.budgets`; `varying` are the keys that the sweep varies."""
    watched = {
        metric: text
        for metric, text, key in _BUDGET
        if not any(each == key or each.startswith(f"{key}.") for each in varying)
    }
    usual: dict[str, float | str | None] = {}
    for metric in watched:
        counts = Counter(value for group in groups if (value := _spent(group, metric)) is not None)
        usual[metric] = counts.most_common(1)[0][0] if counts else None
    notes = []
    for group in groups:
        others = [metric for metric in watched if _spent(group, metric) not in (None, usual[metric])]
        if others:
            own = listed([watched[metric].format(_spent(group, metric)) for metric in others])
            most = listed([watched[metric].format(usual[metric]) for metric in others])
            notes.append(f"{group.name}: {own} (most others: {most})")
    return tuple(notes)


def _spent(group: Group, metric: str) -> float | str | None:
    """Return a number, the mean of the group's trials, or a text, where all of them have the same."""
    if (mean := group.metrics.get(metric)) is not None:
        return mean
    texts = {trial.row.get(metric) for trial in group.trials}
    return texts.pop() if len(texts) == 1 else None


def _best(studies: Sequence[Study], groups: Sequence[Group]) -> BestTrial | None:
    """Return the best trial by the metric that every study names; None where they name none, or several.

    A trial of a group with a failed check is none.
    """
    wanted = {(study.origin.get("metric"), study.origin.get("goal")) for study in studies}
    metric, goal = next(iter(wanted), (None, None))
    if len(wanted) != 1 or metric is None:
        return None
    candidates = [
        BestTrial(metric, value, group.name, trial.row["seed"], trial.trial_id)
        for group in groups
        if not group.failed_checks
        for trial in group.trials
        if isinstance(value := trial.row.get(metric), int | float)
    ]
    return (max if goal == "maximize" else min)(candidates, key=lambda best: best.value, default=None)
