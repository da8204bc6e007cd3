"""A sweep's trials, checked one by one before anything is written."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from qbench.errors import ConfigError, UserError
from qbench.sweep.config import SweepConfig
from qbench.sweep.faults import Fault, fault_error
from qbench.sweep.plug_ins import load_plugins, make_importable
from qbench.sweep.search import search_of
from qbench.sweep.user_code import place_of, reason
from qbench.trial.config import TrialConfig
from qbench.trial.label import check_used, render
from qbench.trial.naming import short_names
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
    """Return every trial of the sweep, validated, with its plug-ins loaded.

    Raises:
        ConfigError: with the file and the key in it: a plug-in that cannot be imported; a name that is not registered,
            an option that is unknown or ill-typed, an exception of a plug-in's (every trial that cannot run is named);
            two points that are the same trial, two groups with one label, a search without end.
    """
    make_importable(config.folder)
    _forget_data()
    limits = [limit for limit in (config.run_cap, max_runs) if limit is not None]
    planned = min(limits) if limits else None
    file = str(config.file)
    try:
        _load_plugins(config)
        points = search_of(config).points(planned if config.method == "random" else config.run_cap)
        shown = _planned(config, training, points)
    except ConfigError as error:
        raise error.within(file=file) from None
    return Plan(config, shown[:planned], shown)


def plan_trial(config: TrialConfig, training: Training) -> PlannedTrial:
    """Return one trial, validated.

    Raises:
        ConfigError: what `Training.resolve` and `Training.check` refuse; an exception of a plug-in's, with the trial,
            the file and the line.
    """
    (group,) = short_names([config.flat()])
    _forget_data()
    try:
        trial = training.resolve(config)
        training.check(trial)
    except Exception as error:
        raise fault_error([_fault(error, group, config)], 1) from error
    return _named(trial, config, group)


def _named(trial: Resolved, config: TrialConfig, group: str) -> PlannedTrial:
    return PlannedTrial(trial.trial_id, trial.training_key, config, f"{group} seed={config.seed}", trial.epochs)


def _forget_data() -> None:
    """Let a process that plans again, a notebook's for example, see that a data set's files were changed."""
    from qbench.trial.data_identity import forget_data  # loads torch, which a command's help does not

    forget_data()


def _load_plugins(config: SweepConfig) -> None:
    try:
        load_plugins(config.plugins, config.folder)
    except ConfigError as error:
        raise error.within(prefix="plugins") from None


def _planned(config: SweepConfig, training: Training, points: Iterable[dict[str, Any]]) -> tuple[PlannedTrial, ...]:
    read: list[TrialConfig | ConfigError] = [_read(point) for point in points]
    configs = [each for each in read if isinstance(each, TrialConfig)]
    groups = iter(_group_names(config, configs))
    trials: list[PlannedTrial] = []
    faults: list[Fault] = []
    built: dict[str, Exception | None] = {}  # by trial but for its seed: to build and capture a network takes minutes
    for number, each in enumerate(read, start=1):
        if isinstance(each, ConfigError):
            faults.append(Fault(f"trial {number}", None, _in_file(each, config)))
            continue
        group = next(groups)
        resolved, error = _checked(training, each, built)
        if resolved is None or error is not None:
            assert error is not None
            faults.append(_fault(error, group, each, config))
        else:
            trials.append(_named(resolved, each, group))
    if faults:
        raise fault_error(faults, len(read))
    _check_distinct(trials)
    if config.label is not None:
        _check_labels(trials, config.label)
    return tuple(trials)


def _read(point: dict[str, Any]) -> TrialConfig | ConfigError:
    try:
        return TrialConfig.from_mapping(point)
    except ConfigError as error:
        return error


def _checked(
    training: Training, config: TrialConfig, built: dict[str, Exception | None]
) -> tuple[Resolved | None, Exception | None]:
    """Return the resolved trial, and why it cannot run: as was found for it with another seed, where it was."""
    unseeded = config.model_dump_json(exclude={"seed"})
    resolved = None
    try:
        resolved = training.resolve(config)
        if unseeded not in built:
            built[unseeded] = None
            training.check(resolved)
    except Exception as error:
        built[unseeded] = error
        return resolved, error
    return resolved, built[unseeded]


def _fault(error: Exception, group: str, config: TrialConfig, sweep: SweepConfig | None = None) -> Fault:
    """Return an exception as a trial's fault; one that is nobody's but qbench's is raised again."""
    if isinstance(error, ConfigError):
        place = None if error.__cause__ is None else place_of(error.__cause__)  # a plug-in's own exception
        if place is not None and place not in error.message:
            error = ConfigError(f"{error.message} ({place})", error.key, error.file, error.details)
        return Fault(group, config.seed, error if sweep is None else _in_file(error, sweep))
    if isinstance(error, UserError):
        return Fault(group, config.seed, ConfigError(str(error)))
    if place_of(error) is None:
        raise error
    return Fault(group, config.seed, ConfigError(reason(error)), unforeseen=True)


def _in_file(error: ConfigError, config: SweepConfig) -> ConfigError:
    """Return the error with the key of the sweep's file in place of the trial's."""
    return ConfigError(error.message, error.key and config.key_of(error.key), error.file, error.details)


def _check_distinct(trials: Iterable[PlannedTrial]) -> None:
    first: dict[str, int] = {}
    for number, trial in enumerate(trials, start=1):
        if trial.id in first:
            raise ConfigError(
                f"trials {first[trial.id]} and {number} are the same ({trial.label}): they would run once",
                "parameters",
            )
        first[trial.id] = number


def _check_labels(trials: Iterable[PlannedTrial], template: str) -> None:
    """Refuse a label that two groups have: their rows could not be told apart."""
    known: dict[str, TrialConfig] = {}
    for trial in trials:
        unseeded = trial.config.model_copy(update={"seed": 0})
        label = render(template, unseeded.flat())
        first = known.setdefault(label, unseeded)
        if first != unseeded:
            flats = (first.flat(), unseeded.flat())
            keys = [key for key in {**flats[0], **flats[1]} if flats[0].get(key) != flats[1].get(key)]
            raise ConfigError(
                f"two groups are called {label!r}, which differ in {', '.join(keys)}: name one of these in braces",
                "label",
            )


def _group_names(config: SweepConfig, configs: Sequence[TrialConfig]) -> list[str]:
    """Return what each trial's group is called: by the sweep's label, else by what differs."""
    flats = [each.flat() for each in configs]
    if config.label is None or not flats:
        return short_names(flats)
    check_used(config.label, flats)
    return [render(config.label, flat) for flat in flats]
