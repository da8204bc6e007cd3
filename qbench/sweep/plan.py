"""A sweep's trials, checked one by one before anything is written."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from qbench.errors import ConfigError
from qbench.sweep.config import SweepConfig
from qbench.sweep.plug_ins import make_importable
from qbench.sweep.search import search_of
from qbench.trial.config import TrialConfig
from qbench.trial.result import TrialResult

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

TRAINING = "qbench.trial.run"


class Resolved(Protocol):
    """What planning reads of a resolved trial: its identities, and how long it trains."""

    @property
    def epochs(self) -> int:
        """How many epochs it trains for."""
        ...

    @property
    def trial_id(self) -> str:
        """The identity of its config and of the code that makes its metrics."""
        ...

    @property
    def training_key(self) -> str:
        """The identity of its training."""
        ...


class Training(Protocol):
    """What a sweep needs in order to train: the module `qbench.trial.run`, or one with the same three functions."""

    def resolve(self, config: TrialConfig) -> Resolved:
        """Look up every name in a config."""
        ...

    def check(self, trial: Any) -> None:
        """Raise a ConfigError unless a resolved trial can be built."""
        ...

    def run_trial(
        self,
        trial: Any,
        folder: Path,
        *,
        logger: Logger | None = None,
        on_epoch: Callable[[int, int, Mapping[str, float]], None] | None = None,
    ) -> TrialResult:
        """Train, evaluate and measure a resolved trial."""
        ...


def load_training(module: str = TRAINING) -> Training:
    """Return the module that trains, by name: worker processes import it by the same name."""
    return cast(Training, importlib.import_module(module))


@dataclass(frozen=True)
class PlannedTrial:
    """A checked trial.

    Attributes:
        id: identity of config and code; the store's key.
        training_key: trials that share it share one training.
        config: what is trained.
        label: what tells it from the others of its sweep, `binarynet seed=3`.
        epochs: how many it trains for, for its progress; None where that is not known.
    """

    id: str
    training_key: str
    config: TrialConfig
    label: str
    epochs: int | None = None


@dataclass(frozen=True)
class Plan:
    """The trials of one sweep.

    Attributes:
        config: the sweep's.
        trials: to run, in order; --max-runs and run_cap have cut them.
        shown: the trials whose results belong to the file: `trials`, and those that --max-runs leaves for later.
    """

    config: SweepConfig
    trials: tuple[PlannedTrial, ...]
    shown: tuple[PlannedTrial, ...]


def make_plan(config: SweepConfig, training: Training, max_runs: int | None = None) -> Plan:
    """Return every trial of the sweep, validated.

    Raises:
        ConfigError: with the file and the key in it: a name that is not registered, an option that is unknown or
            ill-typed, two points that are the same trial, a search without end.
    """
    make_importable(config.folder)
    limits = [limit for limit in (config.run_cap, max_runs) if limit is not None]
    planned = min(limits) if limits else None
    file = str(config.file)
    try:
        points = search_of(config).points(planned if config.method == "random" else config.run_cap)
        shown = _planned(config, training, points)
    except ConfigError as error:
        raise error.within(file=file) from None
    return Plan(config, shown[:planned], shown)


def plan_trial(config: TrialConfig, training: Training) -> PlannedTrial:
    """Return one trial, validated.

    Raises:
        ConfigError: what `Training.resolve` and `Training.check` refuse.
    """
    trial = training.resolve(config)
    training.check(trial)
    return _named([(config, trial)])[0]


def _planned(config: SweepConfig, training: Training, points: Iterable[dict[str, Any]]) -> tuple[PlannedTrial, ...]:
    resolved = []
    built: set[str] = set()  # trials but for their seeds: to build and capture a network once a seed takes minutes
    for point in points:
        try:
            trial = TrialConfig.from_mapping(point)
            resolved.append((trial, training.resolve(trial)))
            unseeded = trial.model_dump_json(exclude={"seed"})
            if unseeded not in built:
                training.check(resolved[-1][1])
                built.add(unseeded)
        except ConfigError as error:
            if error.key is None:
                raise
            raise ConfigError(error.message, config.key_of(error.key), error.file) from None
    trials = _named(resolved)
    _check_distinct(trials)
    return trials


def _check_distinct(trials: Iterable[PlannedTrial]) -> None:
    first: dict[str, int] = {}
    for number, trial in enumerate(trials, start=1):
        if trial.id in first:
            raise ConfigError(
                f"trials {first[trial.id]} and {number} are the same ({trial.label}): they would run once",
                "parameters",
            )
        first[trial.id] = number


def _named(resolved: list[tuple[TrialConfig, Resolved]]) -> tuple[PlannedTrial, ...]:
    """Return the trials, each with the label that tells it from the others."""
    flats = [config.flat() for config, _ in resolved]
    keys = list(dict.fromkeys(key for flat in flats for key in flat))
    varying = [
        key
        for key in keys
        if key not in ("scheme", "seed") and any(flat.get(key) != flats[0].get(key) for flat in flats)
    ]
    trials = []
    for (config, trial), flat in zip(resolved, flats, strict=True):
        differences = (f"{key}={flat[key]}" for key in varying if flat.get(key) is not None)
        label = " ".join([config.scheme, *differences, f"seed={config.seed}"])
        trials.append(PlannedTrial(trial.trial_id, trial.training_key, config, label, trial.epochs))
    return tuple(trials)
