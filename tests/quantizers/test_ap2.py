"""AP2 against exact rational arithmetic."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from quantizers import ap2


def expected_exponent(x):
    """round(log2|x|): the k with 2^(k-½) < |x| < 2^(k+½), i.e. 2^(2k-1) < x² < 2^(2k+1), in exact arithmetic."""
    square = Fraction(x) ** 2
    k = math.frexp(x)[1]
    while square < Fraction(2) ** (2 * k - 1):
        k -= 1
    assert square < Fraction(2) ** (2 * k + 1)
    return k


@given(st.floats(width=32, allow_nan=False, allow_infinity=False).filter(lambda x: x != 0))
@example(2.0**-149)
@example(3 * 2.0**-149)
@example(torch.tensor(0.70710677).item())  # the two float32 neighbours of the root of one half
@example(torch.tensor(0.70710683).item())
@example(1.4142135)
def test_float32(x):
    expected = math.copysign(2.0 ** min(expected_exponent(x), 127), x)
    assert ap2(torch.tensor(x)).item() == expected
    assert ap2(torch.tensor(x)).dtype == torch.float32


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-300).filter(lambda x: x < 1e300))
@example(math.sqrt(0.5))
@example(math.nextafter(math.sqrt(0.5), 0))
@example(math.sqrt(2))
def test_float64(x):
    assert ap2(torch.tensor([x, -x], dtype=torch.float64)).tolist() == [
        2.0 ** expected_exponent(x),
        -(2.0 ** expected_exponent(x)),
    ]


def test_by_hand():
    x = torch.tensor([1.0, 1.4, 1.5, 3.0, 5.0, 6.0, -0.3, 0.0, 1000.0])
    assert ap2(x).tolist() == [1, 1, 2, 4, 4, 8, -0.25, 0, 1024]


def test_ends():
    largest = torch.finfo(torch.float32).max
    assert ap2(torch.tensor([largest, -largest])).tolist() == [2.0**127, -(2.0**127)]
    assert ap2(torch.tensor([math.inf, -math.inf])).tolist() == [math.inf, -math.inf]
    assert ap2(torch.tensor(math.nan)).isnan()
    assert ap2(torch.tensor([65504.0, 5.0], dtype=torch.float16)).tolist() == [32768.0, 4.0]


def test_no_gradient():
    assert not ap2(torch.ones(2, requires_grad=True)).requires_grad


def test_integers_are_refused():
    with pytest.raises(TypeError, match="floating-point"):
        ap2(torch.tensor([4]))
