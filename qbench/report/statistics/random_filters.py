"""How far the distinct filters of random weights lie from their expectation by chance."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt


def random_spread(filters: int, input_maps: int, size: int) -> float:
    """Return the standard deviation of the share of distinct filters that a layer of random weights has.

    With V = 2^(size - 1) filters up to sign and M `filters` a map, the number distinct in a map has the variance
    `V·a + V·(V - 1)·b - V²·a²`, a = (1 - 1/V)^M (a value is never drawn), b = (1 - 2/V)^M (two are not). Maps are
    independent. Computed in fractions: for large V the terms cancel to the last digit.

    Source: Feller, An Introduction to Probability Theory and Its Applications I, 1968, section IX.3 (indicators).
    """
    values = 2 ** (size - 1)
    never, neither = Fraction(values - 1, values) ** filters, Fraction(max(values - 2, 0), values) ** filters
    variance = values * never + values * (values - 1) * neither - (values * never) ** 2
    return sqrt(variance / input_maps) / filters
