"""Ternary quantization: the exact least-squares step, by brute force over all codes."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantizers import TERNARY, make
from quantizers.ternary import ternary_codes, ternary_step


def error(x, step, codes):
    return sum((v - step * z) ** 2 for v, z in zip(x, codes, strict=True))


@given(st.lists(st.integers(-64, 64).map(lambda k: k / 8), min_size=1, max_size=5).filter(any))
@settings(max_examples=150)
def test_no_step_and_codes_do_better(x):
    best = min(
        error(x, max(sum(v * z for v, z in zip(x, codes, strict=True)) / sum(z * z for z in codes), 0.0), codes)
        for codes in itertools.product([-1, 0, 1], repeat=len(x))
        if any(codes)
    )
    tensor = torch.tensor(x)
    step = ternary_step(tensor)
    assert step > 0
    assert error(x, step.item(), ternary_codes(tensor, step).tolist()) == pytest.approx(best, rel=1e-5, abs=1e-5)


@given(st.integers(0, 10_000), st.integers(2, 200))
@settings(max_examples=50)
def test_step_is_a_fixed_point_of_hwang_and_sungs_iteration(seed, n):
    x = torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    step = ternary_step(x)
    codes = ternary_codes(x, step)
    torch.testing.assert_close(step, (x * codes).sum() / codes.square().sum())


def test_by_hand():
    # k = 1: 16/1, k = 2: 49/2 = 24.5, k = 3: 64/3 = 21.3 -> the two largest: Δ = 3.5
    x = torch.tensor([4.0, -3.0, 1.0, 0.0])
    assert ternary_step(x).item() == 3.5
    quantizer = make("ternary")
    assert quantizer(x).tolist() == [3.5, -3.5, 0.0, 0.0]
    quantized = quantizer.quantize(x)
    assert quantized.codes.tolist() == [1, -1, 0, 0]
    assert (quantized.codes.dtype, quantized.format) == (torch.int8, TERNARY)
    assert torch.equal(quantized.dequantize().view(torch.int32), quantizer(x).view(torch.int32))


def test_threshold_is_inclusive_and_symmetric():
    step = torch.tensor(2.0)
    assert ternary_codes(torch.tensor([1.0, -1.0, 0.999, -0.999, 0.0, -0.0]), step).tolist() == [1, -1, 0, 0, 0, 0]


def test_per_channel():
    weight = torch.tensor([[[2.0, -2.0]], [[0.0, 0.0]], [[-7.0, 0.5]]])
    step = ternary_step(weight, channel_axis=0)
    assert step.shape == (3, 1, 1)
    assert step.flatten().tolist() == [2.0, 1.0, 7.0]  # nothing but zeros: step 1
    assert make("ternary", channel_axis=0)(weight).tolist() == [[[2.0, -2.0]], [[0.0, 0.0]], [[-7.0, 0.0]]]


def test_gradient_is_the_identity():
    x = torch.tensor([4.0, -3.0, 0.1, 0.0], requires_grad=True)
    make("ternary")(x).backward(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert x.grad.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("channel_axis", [None, 0])
def test_factors_multiply_to_the_forward_with_its_gradient(channel_axis):
    quantizer = make("ternary", channel_axis=channel_axis)
    x = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    codes, step = quantizer.codes_and_scale(x)
    assert set(codes.flatten().tolist()) == {-1.0, 0.0, 1.0}
    assert torch.equal(codes * step, quantizer(x))
    g = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (found,) = torch.autograd.grad(codes * step, x, g)
    torch.testing.assert_close(found, g, rtol=1e-14, atol=0)  # the identity, as the forward's


def test_steps_along_another_dimension_are_no_factor():
    assert make("ternary", channel_axis=1).codes_and_scale(torch.ones(2, 3)) is None


def test_zeros_have_no_sign():
    y = make("ternary")(torch.tensor([5.0, -0.0, -0.1]))
    assert [math.copysign(1, v) for v in y.tolist()] == [1, 1, 1]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_bad_values(bad):
    with pytest.raises(ValueError, match="NaN or infinity"):
        ternary_step(torch.tensor([1.0, bad]))
    with pytest.raises(ValueError, match="empty"):
        ternary_step(torch.empty(0))
