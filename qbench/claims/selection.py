"""The stored trainings that say something about a claim, and whether they ran at the paper's settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isclose
from statistics import fmean, stdev
from typing import Any, Literal

from torch import nn

from qbench.claims.claim import Selected
from qbench.claims.record import PLACE
from qbench.claims.stored import StoredSweep, StoredTrial, UnfinishedTrial, missing
from qbench.nn.models.catalogue import get_model
from qbench.nn.shift_batch_norm import ShiftBatchNorm2d
from qbench.report.statistics.significance import paired_test
from qbench.schemes.catalogue import get_scheme
from qbench.trial.config import TrialConfig
from qbench.trial.identity import digest

# With these options a scheme is still the paper's; any other option makes another scheme, which no claim is about.
# epoch_factor shows in training/epochs.
_SCHEME_OPTIONS = ("norm_momentum", "epoch_factor", "halve_every")
_MOMENTUM, _HALVING = "scheme_options.norm_momentum", "scheme_options.halve_every"
_LABELS = {
    "training/epochs": "epochs",
    "training/learning_rate_start": "initial learning rate",
    "training/learning_rate_end": "final learning rate",
    "batch_size": "batch",
}


Standing = Literal["paper", "short", "other"]


@dataclass(frozen=True)
class Setting:
    """The training that a paper reports.

    Attributes:
        scheme, data, model: names. A training on the same data set, but preprocessed otherwise, is `other settings`.
        epochs: of the training.
        keys: other keys of a row, with the values that they must have. Options of the model and of the scheme that are
            not among them must have their defaults.
        essential: those of `keys` whose other values make a training one that says nothing about the claim.
        unpublished: why no training here can be the paper's; empty where its settings are known.
    """

    scheme: str
    data: str
    model: str
    epochs: int
    keys: Mapping[str, Any] = field(default_factory=dict)
    essential: tuple[str, ...] = ()
    unpublished: str = ""

    @property
    def required(self) -> dict[str, Any]:
        """The values that a row must have, by key."""
        named = {"data": self.data, "training/epochs": self.epochs, **self.keys}
        return named | {key: value for key, value in self.defaults.items() if key not in named}

    @property
    def defaults(self) -> dict[str, Any]:
        """The values of the options that may vary, by key, where a trial does not give them."""
        own = get_scheme(self.scheme).recipe
        kept = ShiftBatchNorm2d(1) if own.norm == "shift" else nn.BatchNorm2d(1)
        return {
            **{f"model_options.{name}": value for name, value in get_model(self.model).options.items()},
            _MOMENTUM: kept.momentum if own.norm_momentum is None else own.norm_momentum,
            _HALVING: own.halve_every,
        }


@dataclass(frozen=True)
class StoredGroup:
    """Stored trainings that differ in their seed alone.

    Attributes:
        sweep: the sweep that holds them.
        trials: those that finished.
        unfinished: those that are planned and have no result.
        mismatches: how they differ from the paper's setting: `epochs 30 for 1000`.
        standing: `paper` at the paper's settings, `short` with fewer epochs (whatever else differs), else `other`.
    """

    sweep: StoredSweep
    trials: tuple[StoredTrial, ...]
    unfinished: tuple[UnfinishedTrial, ...]
    mismatches: tuple[str, ...]
    standing: Standing


def find_group(setting: Setting, sweeps: Sequence[StoredSweep]) -> StoredGroup | None:
    """Return the stored trainings closest to a setting; None where no sweep holds the scheme on this data and model.

    Those at the paper's settings come first, then the longest. Among equally long ones the fewest mismatches decide,
    then whether all planned seeds finished, then the number of seeds, then the order. Test errors have no say.
    """
    groups = [group for sweep in sweeps for group in _groups(setting, sweep)]

    def rank(group: StoredGroup) -> tuple[bool, int, int, bool, int]:
        epochs = group.trials[0].row["training/epochs"]
        complete = not group.unfinished
        return group.standing == "paper", epochs, -len(group.mismatches), complete, len(group.trials)

    return max(groups, key=rank, default=None)


def _groups(setting: Setting, sweep: StoredSweep) -> list[StoredGroup]:
    found: dict[str, list[StoredTrial]] = {}
    for trial in sweep.trials:
        if _speaks_to(setting, trial.row):
            found.setdefault(_without_seed(trial.row), []).append(trial)
    unfinished: dict[str, list[UnfinishedTrial]] = {}
    for other in sweep.unfinished:
        unfinished.setdefault(_without_seed(other.row), []).append(other)
    return [_group(setting, sweep, trials, unfinished.get(key, [])) for key, trials in found.items()]


def _speaks_to(setting: Setting, row: Mapping[str, Any]) -> bool:
    """Return whether a training says something about the setting: of its scheme, network, data set and `essential`."""
    row = _with_defaults(setting, row)
    options = [key.split(".")[1] for key in row if key.startswith("scheme_options.")]
    return (
        row["scheme"] == setting.scheme
        and row["model"] == setting.model
        and _data_set(row["data"]) == _data_set(setting.data)
        and row.get("module") is None
        and not row.get("augment")
        and all(option in _SCHEME_OPTIONS for option in options)
        and all(_equal(row.get(key), setting.keys[key]) for key in setting.essential)
    )


def _with_defaults(setting: Setting, row: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(row)
    if given.get(_MOMENTUM) is None:  # None, also as an option, stands for the norm's default
        given.pop(_MOMENTUM, None)
    return setting.defaults | given


def _data_set(name: str) -> str:
    return name.partition("-")[0]  # cifar10-whitened is CIFAR-10


def _without_seed(row: Mapping[str, Any]) -> str:
    ignored = ("seed", *PLACE)
    return digest(
        {k: v for k, v in row.items() if k.partition(".")[0] in TrialConfig.model_fields and k not in ignored}
    )


def _group(
    setting: Setting, sweep: StoredSweep, trials: Sequence[StoredTrial], unfinished: Sequence[UnfinishedTrial]
) -> StoredGroup:
    row = _with_defaults(setting, trials[0].row)
    mismatches = [
        f"{_LABELS.get(key, key.rpartition('.')[2])} {_text(row.get(key))} for {_text(value)}"
        for key, value in setting.required.items()
        if not _equal(row.get(key), value)
    ]
    if setting.unpublished:
        mismatches.append(setting.unpublished)
    standing: Standing = "other" if mismatches else "paper"
    if row["training/epochs"] < setting.epochs:
        standing = "short"
    return StoredGroup(sweep, tuple(trials), tuple(unfinished), tuple(mismatches), standing)


def _equal(here: Any, there: Any) -> bool:
    if isinstance(here, int | float) and isinstance(there, int | float):
        return isclose(here, there, rel_tol=1e-9)
    return bool(here == there)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "default" if value is None else str(value)


def select_error(setting: Setting, sweeps: Sequence[StoredSweep]) -> Selected | None:
    """Return the test error of the closest trainings, percent.

    Values: `value` (mean over seeds), `spread` (standard deviation over seeds; None for one seed), `seeds`, `standing`,
    `complete` (whether all planned seeds finished) and `notes`.
    """
    group = find_group(setting, sweeps)
    if group is None:
        return None
    errors = [trial.error for trial in group.trials]
    return Selected({**_mean(errors), **_about(group)}, (group.sweep,))


def select_metrics(setting: Setting, keys: Sequence[str], sweeps: Sequence[StoredSweep]) -> Selected | None:
    """Return the mean over seeds of each metric in `keys`; None where a training lacks one.

    Values: the means by metric, and `seeds`, `standing`, `complete` and `notes` as `select_error` has them.
    """
    group = find_group(setting, sweeps)
    if group is None or any(trial.row.get(key) is None for trial in group.trials for key in keys):
        return None
    means = {key: fmean(trial.row[key] for trial in group.trials) for key in keys}
    return Selected({**means, **_about(group)}, (group.sweep,))


def select_pair(first: Setting, second: Setting, sweeps: Sequence[StoredSweep]) -> Selected | None:
    """Compare the closest trainings of two settings, over the seeds that both have on the same test images.

    Values: those of `PairedTest`; `first` and `second` (mean test errors, percent); `standing` (the lesser of both),
    `complete` (whether all planned seeds of both finished) and `notes`.
    """
    a, b = find_group(first, sweeps), find_group(second, sweeps)
    if a is None or b is None:
        return None
    of_a = {trial.row["seed"]: trial for trial in a.trials}
    of_b = {trial.row["seed"]: trial for trial in b.trials}
    seeds = [seed for seed in sorted(of_a) if seed in of_b and of_a[seed].labels == of_b[seed].labels]
    if not seeds:
        return None
    test = paired_test([of_a[seed].correct for seed in seeds], [of_b[seed].correct for seed in seeds])
    order: tuple[Standing, ...] = ("short", "other", "paper")
    notes = [f"{setting.scheme}: {_notes(group)}" for setting, group in ((first, a), (second, b)) if _notes(group)]
    values = {
        **vars(test),
        "first": fmean(of_a[seed].error for seed in seeds),
        "second": fmean(of_b[seed].error for seed in seeds),
        "standing": min(a.standing, b.standing, key=order.index),
        "complete": not a.unfinished and not b.unfinished,
        "notes": "; ".join(notes),
    }
    return Selected(values, tuple({sweep.name: sweep for sweep in (a.sweep, b.sweep)}.values()))


def _mean(values: Sequence[float]) -> dict[str, Any]:
    return {"value": fmean(values), "spread": stdev(values) if len(values) > 1 else None}


def _about(group: StoredGroup) -> dict[str, Any]:
    return {
        "seeds": len({trial.row["seed"] for trial in group.trials}),
        "standing": group.standing,
        "complete": not group.unfinished,
        "notes": _notes(group),
    }


def _notes(group: StoredGroup) -> str:
    lacking = missing(len(group.trials), group.unfinished, "seeds")
    return ", ".join([*group.mismatches, *([lacking] if lacking else [])])
