"""AP2 against exact rational arithmetic."""

import math
import shutil
from fractions import Fraction

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from quantizers import ap2, ap2_normal


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


@given(st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x != 0))
@example(5e-324)
@example(3 * 5e-324)
@example(2.0**-1022 - 2.0**-1074)
@example(math.sqrt(0.5))
@example(math.nextafter(math.sqrt(0.5), 0))
@example(math.sqrt(2))
def test_float64(x):
    expected = math.copysign(2.0 ** min(expected_exponent(x), 1023), x)
    assert ap2(torch.tensor(x, dtype=torch.float64)).item() == expected


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_number_of_sixteen_bits(dtype):
    every = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype)
    every = every[every.isfinite() & (every != 0)]
    largest = math.frexp(torch.finfo(dtype).max)[1] - 1
    expected = [math.copysign(2.0 ** min(expected_exponent(x), largest), x) for x in every.tolist()]
    assert ap2(every).tolist() == expected
    assert torch.equal(ap2_normal(every), ap2(every))


def test_by_hand():
    x = torch.tensor([1.0, 1.4, 1.5, 3.0, 5.0, 6.0, -0.3, 0.0, 1000.0])
    assert ap2(x).tolist() == [1, 1, 2, 4, 4, 8, -0.25, 0, 1024]


def test_ends():
    largest = torch.finfo(torch.float32).max
    assert ap2(torch.tensor([largest, -largest])).tolist() == [2.0**127, -(2.0**127)]
    assert ap2(torch.tensor([math.inf, -math.inf])).tolist() == [math.inf, -math.inf]
    assert ap2(torch.tensor([math.nan, -math.nan])).isnan().all()
    loud = torch.tensor([0x7FFFFFFF, 0x7F800001, -1], dtype=torch.int32).view(torch.float32)  # NaNs of all kinds
    assert ap2(loud).isnan().all()
    assert ap2(loud.double()).isnan().all()
    assert torch.signbit(ap2(torch.tensor([0.0, -0.0]))).tolist() == [False, True]
    assert ap2(torch.tensor([65504.0, 5.0], dtype=torch.float16)).tolist() == [32768.0, 4.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_turning_points_of_every_exponent(dtype):
    """Both neighbours of 2^k·√2, powers of two and zeros; where numbers are normal, two operations do."""
    lowest, highest = (-126, 127) if dtype == torch.float32 else (-1022, 1023)
    root = torch.tensor(math.sqrt(2), dtype=torch.float64).to(dtype)  # below √2 in float32, above it in float64
    below = root if dtype == torch.float32 else root.nextafter(torch.zeros_like(root))
    above = below.nextafter(torch.tensor(2.0, dtype=dtype))
    powers = 2.0 ** torch.arange(lowest, highest, dtype=dtype)
    x = torch.cat([powers * below, powers * above, powers, torch.zeros(1, dtype=dtype)])
    expected = torch.cat([powers, 2 * powers, powers, torch.zeros(1, dtype=dtype)])
    for function in (ap2, ap2_normal):
        assert torch.equal(function(x), expected)
        assert torch.equal(function(-x), -expected)


@given(st.floats(2.0**-126, 2.0**127, width=32), st.sampled_from([-1.0, 1.0]))
def test_normal_numbers_take_two_operations(x, sign):
    expected = sign * 2.0 ** expected_exponent(x)
    assert ap2_normal(torch.tensor(sign * x)).item() == expected
    assert ap2_normal(torch.tensor(sign * x, dtype=torch.float64)).item() == expected


def test_views_and_dimensions():
    x = torch.randn(6, 4)[::2, 1::2]
    assert torch.equal(ap2(x), ap2(x.contiguous()))
    assert torch.equal(ap2_normal(x.T), ap2(x).T)
    assert ap2(torch.tensor(3.0)).shape == ()
    assert ap2(torch.empty(0, 3)).shape == (0, 3)


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_it_compiles():
    x = torch.cat([torch.randn(100), torch.tensor([0.0, 2.0**-149, -3e-40, 3e38, math.inf, math.nan])])
    compiled = torch.compile(ap2, fullgraph=True)
    torch.testing.assert_close(compiled(x), ap2(x), rtol=0, atol=0, equal_nan=True)


def test_no_gradient():
    assert not ap2(torch.ones(2, requires_grad=True)).requires_grad
    assert not ap2_normal(torch.ones(2, requires_grad=True)).requires_grad


def test_integers_are_refused():
    with pytest.raises(TypeError, match="floating-point"):
        ap2(torch.tensor([4]))
