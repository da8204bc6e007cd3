"""The learning rate's two ends: 0.0 is 0.0."""

from __future__ import annotations

import math

import pytest

from qbench.errors import ConfigError
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.schedules import decay_per_epoch
from qbench.training.learning_rate import first_and_last

SCHEME = get_scheme("binarynet", learning_rate=0.5, learning_rate_end=0.05)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((None, None), (0.5, 0.05)),
        ((0.25, None), (0.25, 0.025)),
        ((0.25, 0.2), (0.25, 0.2)),
        ((0.0, None), (0.0, 0.0)),
        ((0.0, 0.0), (0.0, 0.0)),
    ],
)
def test_what_is_not_given_is_the_schemes(
    given: tuple[float | None, float | None], expected: tuple[float, float]
) -> None:
    assert first_and_last(SCHEME, *given) == pytest.approx(expected, abs=0)


@pytest.mark.parametrize("rates", [(0.1, 0.0), (0.0, 0.1)])
def test_no_decay_leads_to_zero_or_from_it(rates: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match=r"learning_rate(_end)?: the rate decays exponentially"):
        first_and_last(SCHEME, *rates)


@pytest.mark.parametrize("rate", [-1e-3, math.inf, math.nan])
def test_what_is_no_rate(rate: float) -> None:
    with pytest.raises(ConfigError, match="learning_rate: must be a finite number of 0 or more"):
        first_and_last(SCHEME, rate, None)
    with pytest.raises(ConfigError, match="learning_rate_end: must be a finite number of 0 or more"):
        first_and_last(SCHEME, None, rate)


def test_a_rate_of_zero_may_be_halved() -> None:
    assert first_and_last(get_scheme("bnn-shift"), 0.0, None) == (0.0, 0.0)


def test_decay() -> None:
    assert 8.0 * decay_per_epoch(8.0, 0.125, 6) ** 6 == pytest.approx(0.125)
    assert decay_per_epoch(0.0, 0.0, 6) == 1.0
