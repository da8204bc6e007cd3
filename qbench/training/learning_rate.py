"""The learning rate: where it starts, and where it ends."""

from __future__ import annotations

from math import isfinite

from qbench.errors import ConfigError
from qbench.schemes.scheme import Scheme


def first_and_last(scheme: Scheme, first: float | None, last: float | None) -> tuple[float, float]:
    """Return the learning rate of the first epoch, and that after the last one.

    Args:
        scheme: gives what is None: `first` its initial rate, `last` the ratio of its last rate to its initial one.
        first, last: 0.0 is 0.0, and leaves the weights as they are.

    Raises:
        ConfigError: a rate that is negative or no finite number; a last rate where the scheme halves its rate, or its
            schedule does not lead to one; rates of 0 and above, between which the schedule does not lead.
    """
    recipe = scheme.recipe
    for key, rate in (("learning_rate", first), ("learning_rate_end", last)):
        if rate is not None and not (rate >= 0 and isfinite(rate)):
            raise ConfigError(f"must be a finite number of 0 or more, got {rate}", key)
    if last is not None and recipe.halve_every is not None:
        raise ConfigError(
            f"{scheme.name} halves its rate every {recipe.halve_every} epochs; set halve_every in place",
            "learning_rate_end",
        )
    if last is not None and not recipe.uses_learning_rate_end:
        raise ConfigError(f"the schedule {recipe.rate_schedule} does not use it", "learning_rate_end")
    if first is None:
        first = recipe.learning_rate
    if last is None:
        last = first * (recipe.learning_rate_end / recipe.learning_rate if recipe.learning_rate else 1.0)
    if recipe.uses_learning_rate_end:
        _check_zeros(recipe.rate_schedule.name, first, last)
    return first, last


def _check_zeros(schedule: str, first: float, last: float) -> None:
    """Refuse a rate of 0 at one end that no factor leads to, or away from."""
    if schedule == "exponential" and (first == 0) != (last == 0):
        raise ConfigError(
            f"the rate decays exponentially, which leads from {first:g} to {last:g} in no number of epochs; give a "
            "small rate above 0, or 0 for both, which leaves the weights as they are",
            "learning_rate_end" if last == 0 else "learning_rate",
        )
    if first == 0 and last > 0:
        raise ConfigError(
            f"the rate starts at 0 and is multiplied by the schedule, which leads to no rate of {last:g}; give a small "
            f"rate above 0, or {schedule} the option warmup",
            "learning_rate",
        )
