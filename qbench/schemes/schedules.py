"""The registry of learning-rate schedules, and what is made of a recipe's choice. They step once an epoch."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, LRScheduler, MultiStepLR, SequentialLR, StepLR

from qbench.errors import ConfigError, check_options, named_in
from qbench.schemes.named import NamedSpec, spelled_out
from qbench.schemes.optimizers.registry import build_optimizer
from quantizers import Registry

Builder = Callable[..., LRScheduler]
"""Builds the schedule: `(optimizer, *, epochs, learning_rate, learning_rate_end, **options) -> LRScheduler`.

It is told those of the three that its signature asks for, without a default; its other parameters are options.
`step()` is called after each epoch. The rate of each group is multiplied, so that groups keep their ratios. A class of
`torch.optim.lr_scheduler` by its dotted path is a builder, too.
"""

SCHEDULES: Registry[Builder] = Registry("schedule", group="qbench.schedules")
"""The schedules by name."""

WARMUP = "warmup"
"""The option that every schedule has: epochs of linear warm-up before it. Epoch e of w has the rate
`learning_rate·(e + 1)/(w + 1)`; the schedule itself then has the remaining epochs."""

_TOLD = ("epochs", "learning_rate", "learning_rate_end")
_KEY = "schedule"


@SCHEDULES.register("exponential")
def exponential(optimizer: Optimizer, *, epochs: int, learning_rate: float, learning_rate_end: float) -> LRScheduler:
    """Multiply by the same factor after each epoch: `first·(last/first)^(e/epochs)`."""
    return ExponentialLR(optimizer, decay_per_epoch(learning_rate, learning_rate_end, epochs))


@SCHEDULES.register("halve")
def halve(optimizer: Optimizer, *, every: int) -> LRScheduler:
    """Shift right by one bit every `every` epochs: `first·2^-⌊e/every⌋`.

    BNN's Torch7 runs halve every 10 epochs on MNIST and every 50 on CIFAR-10.
    """
    if type(every) is not int or every < 1:
        raise ValueError(f"every must be a whole number of epochs from 1 on, got {every!r}")
    return StepLR(optimizer, step_size=every, gamma=0.5)


@SCHEDULES.register("cosine")
def cosine(optimizer: Optimizer, *, epochs: int, learning_rate: float, learning_rate_end: float) -> LRScheduler:
    """Follow half a cosine down: `last + (first - last)·(1 + cos(π·e/epochs))/2` (Loshchilov, Hutter, 1608.03983)."""
    end = _ratio(learning_rate, learning_rate_end)
    return LambdaLR(optimizer, lambda epoch: end + (1 - end) * (1 + math.cos(math.pi * epoch / epochs)) / 2)


@SCHEDULES.register("linear")
def linear(optimizer: Optimizer, *, epochs: int, learning_rate: float, learning_rate_end: float) -> LRScheduler:
    """Follow a straight line: `first + (last - first)·e/epochs`."""
    end = _ratio(learning_rate, learning_rate_end)
    return LambdaLR(optimizer, lambda epoch: 1 + (end - 1) * epoch / epochs)


@SCHEDULES.register("step")
def step(optimizer: Optimizer, *, milestones: Sequence[int], factor: float = 0.1) -> LRScheduler:
    """Multiply by `factor` after each of the epochs `milestones`: `first·factor^(number of milestones <= e)`."""
    if not milestones or any(type(each) is not int or each < 1 for each in milestones):
        raise ValueError(f"milestones must be whole numbers of epochs from 1 on, got {milestones!r}")
    if not 0 < factor <= 1:
        raise ValueError(f"factor must be above 0 and at most 1, got {factor!r}")
    return MultiStepLR(optimizer, list(milestones), gamma=factor)


@SCHEDULES.register("constant")
def constant(optimizer: Optimizer) -> LRScheduler:
    """Keep the rate."""
    return LambdaLR(optimizer, lambda epoch: 1.0)


def decay_per_epoch(first: float, last: float, epochs: int) -> float:
    """Return the factor of each of `epochs` epochs that leads from rate `first` to `last`; 1 for a rate of 0."""
    return float((last / first) ** (1 / max(epochs, 1))) if first else 1.0


def _ratio(first: float, last: float) -> float:
    return last / first if first else 1.0


def find_schedule(name: str) -> Builder:
    """Return the builder called `name`.

    Raises:
        ConfigError: no such name, with the nearest; a dotted path that cannot be imported, or to no builder.
    """
    found = named_in(SCHEDULES, name, _KEY)
    if not callable(found):
        raise ConfigError(f"{name!r} is {type(found).__name__}, expected a class of schedules, or a function", _KEY)
    return found


def check_schedule(chosen: str | NamedSpec) -> None:
    """Refuse a schedule that is not known, or whose options it does not take; what they hold is seen when it is built.

    Raises:
        ConfigError: see `find_schedule` and `qbench.errors.check_options`; a warm-up that is no number of epochs.
    """
    spec = spelled_out(chosen)
    build = find_schedule(spec.name)
    names = list(inspect.signature(build).parameters)
    warmup, options = _warmup_apart(spec)
    if type(warmup) is not int or warmup < 0:
        raise ConfigError(f"{WARMUP} must be a whole number of epochs, got {warmup!r}", _KEY)
    check_options(f"schedule {spec.name!r}", build, options, _KEY, given=(*names[:1], *_asked(build)))


def uses_end(chosen: str | NamedSpec) -> bool:
    """Whether a schedule leads to the recipe's learning_rate_end."""
    return "learning_rate_end" in _asked(find_schedule(spelled_out(chosen).name))


def _asked(build: Builder) -> list[str]:
    """Return what a builder is told."""
    parameters = inspect.signature(build).parameters
    return [name for name in _TOLD if name in parameters and parameters[name].default is inspect.Parameter.empty]


def build_schedule(
    chosen: str | NamedSpec, optimizer: Optimizer, *, epochs: int, learning_rate: float, learning_rate_end: float
) -> LRScheduler:
    """Return the schedule of a recipe, to be stepped after each of `epochs` epochs.

    Args:
        chosen: the schedule.
        optimizer: whose groups have their rates in the first epoch.
        epochs: of the training.
        learning_rate, learning_rate_end: of a group whose rate is not scaled: in the first epoch, after the last one.

    Raises:
        ConfigError: see `check_schedule`; options that it refuses; a warm-up as long as the training; a builder that
            returns something else.
    """
    check_schedule(chosen)
    spec = spelled_out(chosen)
    warmup, options = _warmup_apart(spec)
    if warmup >= max(epochs, 1):
        raise ConfigError(f"{WARMUP} of {warmup} epochs leaves none of {epochs} for the schedule itself", _KEY)
    build = find_schedule(spec.name)
    told: dict[str, Any] = {
        "epochs": epochs - warmup,
        "learning_rate": learning_rate,
        "learning_rate_end": learning_rate_end,
    }
    arguments = {name: told[name] for name in _asked(build)} | options
    try:
        warming = LambdaLR(optimizer, lambda epoch: (epoch + 1) / (warmup + 1)) if warmup else None
        schedule = build(optimizer, **arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"schedule {spec}: {error}", _KEY) from error
    if not isinstance(schedule, LRScheduler) or "metrics" in inspect.signature(schedule.step).parameters:
        raise ConfigError(
            f"{spec.name!r} builds {type(schedule).__name__}, expected an LRScheduler whose step() needs no metric",
            _KEY,
        )
    return schedule if warming is None else SequentialLR(optimizer, [warming, schedule], milestones=[warmup])


def _warmup_apart(spec: NamedSpec) -> tuple[Any, dict[str, Any]]:
    """Return the epochs of warm-up, and the schedule's own options."""
    options = dict(spec.options)
    if WARMUP in inspect.signature(find_schedule(spec.name)).parameters:
        return 0, options
    return options.pop(WARMUP, 0), options


def schedule_rates(
    chosen: str | NamedSpec,
    optimizer: str | NamedSpec,
    *,
    epochs: int,
    learning_rate: float,
    learning_rate_end: float,
    scales: Sequence[float] = (1.0,),
) -> list[list[float]]:
    """Return the rates of the epochs 0 to `epochs`, the last one being that after the training, by group.

    They are read off the schedule, on an optimizer without gradients.

    Args:
        chosen, optimizer: of a recipe.
        epochs, learning_rate, learning_rate_end: see `build_schedule`.
        scales: one for each group: its rate over `learning_rate`.

    Raises:
        ConfigError: see `build_schedule` and `qbench.schemes.optimizers.registry.build_optimizer`; a schedule that
            fails in an epoch.
    """
    groups = [{"params": [nn.Parameter(torch.zeros(2, 2))], "lr": learning_rate * scale} for scale in scales]
    trial = build_optimizer(optimizer, groups)
    schedule = build_schedule(
        chosen, trial, epochs=epochs, learning_rate=learning_rate, learning_rate_end=learning_rate_end
    )
    found = [[float(group["lr"]) for group in trial.param_groups]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of steps before the optimizer's
        for _ in range(epochs):
            try:
                schedule.step()
            except (TypeError, ValueError) as error:
                raise ConfigError(
                    f"schedule {spelled_out(chosen)} fails in epoch {len(found)}: {error}", _KEY
                ) from error
            found.append([float(group["lr"]) for group in trial.param_groups])
    return found
