"""Fixed-point requantization, bit for bit against gemmlowp's definitions in plain Python integers."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from quantizers import FixedPointMultiplier, requantize
from quantizers.fixed_point import (
    multiply_by_fixed_point,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)

LOW, HIGH = -(2**31), 2**31 - 1
INT32 = st.one_of(st.integers(LOW, HIGH), st.sampled_from([LOW, LOW + 1, -1, 0, 1, HIGH]), st.integers(-1000, 1000))


def high_mul(a, b):
    """gemmlowp's: overflow apart, (ab + nudge) / 2^31 with C's division towards zero."""
    if a == b == LOW:
        return HIGH
    ab = a * b
    nudged = ab + (2**30 if ab >= 0 else 1 - 2**30)
    quotient = abs(nudged) // 2**31
    return quotient if nudged >= 0 else -quotient


def divide(x, exponent):
    """gemmlowp's RoundingDivideByPOT: nearest, halves away from zero."""
    rounded = math.floor(Fraction(abs(x), 2**exponent) + Fraction(1, 2))
    return rounded if x >= 0 else -rounded


def int32(*values):
    return torch.tensor(values, dtype=torch.int32)


@given(st.lists(st.tuples(INT32, INT32), min_size=1, max_size=20))
@example([(LOW, LOW), (LOW, HIGH), (HIGH, HIGH), (LOW, 1), (2**30, 1), (2**30, -1), (2**30, 3), (2**30, -3)])
def test_high_mul(pairs):
    a, b = (int32(*column) for column in zip(*pairs, strict=True))
    result = saturating_rounding_doubling_high_mul(a, b)
    assert result.dtype == torch.int32
    assert result.tolist() == [high_mul(x, y) for x, y in pairs]


def test_high_mul_of_halves_by_hand():
    # products of ±0.5 and ±1.5 in units of 2^31: halves go up
    a = int32(2**30, 2**30, 2**30, 2**30)
    assert saturating_rounding_doubling_high_mul(a, int32(1, -1, 3, -3)).tolist() == [1, 0, 2, -1]
    assert saturating_rounding_doubling_high_mul(int32(LOW), int32(LOW)).tolist() == [HIGH]


@given(st.lists(INT32, min_size=1, max_size=20), st.integers(0, 31))
@example([LOW, HIGH, -1, 1, 0], 31)
@example([3, -3, 5, -5, 1, -1, 2, -2], 1)
def test_divide_by_power_of_two(xs, exponent):
    result = rounding_divide_by_pot(int32(*xs), exponent)
    assert result.dtype == torch.int32
    assert result.tolist() == [divide(x, exponent) for x in xs]
    assert rounding_divide_by_pot(int32(*xs), torch.full((len(xs),), exponent)).tolist() == result.tolist()


@pytest.mark.parametrize("exponent", [-1, 32])
def test_divide_refuses_other_exponents(exponent):
    with pytest.raises(ValueError, match=r"0\.\.31"):
        rounding_divide_by_pot(int32(1), exponent)


@given(st.floats(2.0**-31, 2.0**29))
@example(0.5)
@example(1.0)
@example(1 - 2.0**-40)  # the mantissa rounds up to 2^31 and carries
@example(2.0**-31)
def test_multiplier_is_the_nearest_in_q31(factor):
    multiplier = FixedPointMultiplier.of(factor)
    assert 2**30 <= multiplier.mantissa.item() <= 2**31 - 1
    value = Fraction(multiplier.mantissa.item(), 2**31) / Fraction(2) ** multiplier.shift.item()
    assert abs(value / Fraction(factor) - 1) <= Fraction(1, 2**31)
    assert multiplier.value().item() == float(value)


def test_multiplier_by_hand():
    half = FixedPointMultiplier.of(0.5)
    assert (half.mantissa.item(), half.shift.item()) == (2**30, 0)
    three_eighths = FixedPointMultiplier.of(0.375)  # 0.75 / 2
    assert (three_eighths.mantissa.item(), three_eighths.shift.item()) == (3 * 2**29, 1)
    five = FixedPointMultiplier.of(5.0)  # 0.625 · 8
    assert (five.mantissa.item(), five.shift.item()) == (5 * 2**28, -3)


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf, 2.0**-40, 2.0**31, [0.5, 0.0]])
def test_multiplier_refuses(factor):
    with pytest.raises(ValueError, match="fixed-point multiplier must"):
        FixedPointMultiplier.of(torch.tensor(factor, dtype=torch.float64))


@given(st.lists(INT32, min_size=1, max_size=10), st.floats(2.0**-30, 8.0))
def test_multiplication_is_the_two_roundings(xs, factor):
    multiplier = FixedPointMultiplier.of(factor)
    m, shift = multiplier.mantissa.item(), multiplier.shift.item()
    expected = []
    for x in xs:
        widened = min(max(x << max(-shift, 0), LOW), HIGH)
        expected.append(divide(high_mul(widened, m), max(shift, 0)))
    assert multiply_by_fixed_point(int32(*xs), multiplier).tolist() == expected


@given(st.lists(st.integers(-(2**26), 2**26), min_size=1, max_size=10), st.floats(2.0**-20, 1.0))
def test_multiplication_is_within_one_of_the_real_product(xs, factor):
    result = multiply_by_fixed_point(int32(*xs), FixedPointMultiplier.of(factor))
    for x, y in zip(xs, result.tolist(), strict=True):
        assert abs(y - x * factor) <= 1.1


def test_requantization_per_channel():
    accumulators = torch.tensor([[1000, 1000], [-1001, 4], [10**6, -(10**6)]], dtype=torch.int32)
    multiplier = FixedPointMultiplier.of(torch.tensor([0.1, 0.75]))
    codes = requantize(accumulators, multiplier, zero_point=3, minimum=-128, maximum=127)
    assert codes.tolist() == [[103, 127], [-97, 6], [127, -128]]
    assert codes.dtype == torch.int32
