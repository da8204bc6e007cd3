"""The schedule of a recipe over the groups of an optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import frexp, isclose

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from qbench.errors import ConfigError
from qbench.schemes.recipe import Recipe
from qbench.schemes.schedules import build_schedule, schedule_rates
from qbench.training.parameter_groups import RATE_SCALE

_TO_THE_END = ("exponential", "cosine", "linear")  # lead to learning_rate_end itself, without rounding
_MULTIPLY = (*_TO_THE_END, "halve", "step", "constant")  # multiply every group's rate by the same


@contextmanager
def as_scheme_options() -> Iterator[None]:
    """Report a ConfigError on a part of a recipe under the trial's key `scheme_options`."""
    try:
        yield
    except ConfigError as error:
        raise error.within(prefix="scheme_options") from error.__cause__


def make_schedule(recipe: Recipe, optimizer: Optimizer, epochs: int, first: float, last: float) -> LRScheduler:
    """Return the schedule of a recipe, to be stepped after each of `epochs` epochs.

    Args:
        recipe: names it.
        optimizer: whose groups have their rates in the first epoch.
        epochs: of the training.
        first, last: the learning rate in the first epoch, and after the last one.

    Raises:
        ConfigError: see `qbench.schemes.schedules.build_schedule`; a schedule that leaves the powers of two, to which
            the optimizer rounds; one that gives groups whose rates are scaled the rates of all.
    """
    spec = recipe.rate_schedule
    rounds = getattr(optimizer, "rounds_rates", False)
    scales = sorted({float(group.get(RATE_SCALE, 1.0)) for group in optimizer.param_groups})
    with as_scheme_options():
        if first > 0 and (rounds or (len(scales) > 1 and spec.name not in _MULTIPLY)):
            rates = schedule_rates(
                spec, recipe.optimizer, epochs=epochs, learning_rate=first, learning_rate_end=last, scales=(1.0, 0.5)
            )
            if rounds and any(rate != 0 and frexp(rate / first)[0] != 0.5 for rate, _ in rates):
                raise ConfigError(
                    f"{type(optimizer).__name__} rounds its rate to a power of two, and the schedule {spec} leaves "
                    "those: use halve_every, constant, or step with a factor such as 0.5 or 0.25",
                    "schedule",
                )
            if not rounds and not all(isclose(half, rate / 2, rel_tol=1e-6) for rate, half in rates):
                raise ConfigError(
                    f"the schedule {spec} sets rates, and does not multiply those that the groups have (the scheme's "
                    f"are scaled by {scales[0]:.4g} to {scales[-1]:.4g}): use a schedule that does, or "
                    "learning_rate_scale: none",
                    "schedule",
                )
        return build_schedule(spec, optimizer, epochs=epochs, learning_rate=first, learning_rate_end=last)


def rate_after(recipe: Recipe, epochs: int, first: float, last: float) -> float:
    """Return the learning rate after `epochs` epochs; the arguments are those of `make_schedule`."""
    spec = recipe.rate_schedule
    if spec.name in _TO_THE_END:
        return last
    rates = schedule_rates(spec, recipe.optimizer, epochs=epochs, learning_rate=first, learning_rate_end=last)
    return rates[-1][0]
