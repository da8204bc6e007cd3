"""Deterministic sign: zeros, borders, gradient masks, latent clip."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from quantizers import BINARY, Sign, make, sign, sign_ste

NEXT_AFTER_ONE = 1 + 2.0**-23
X = [
    -math.inf,
    -2.0,
    -NEXT_AFTER_ONE,
    -1.0,
    -0.5,
    -(2.0**-149),
    -0.0,
    0.0,
    2.0**-149,
    0.5,
    1.0,
    NEXT_AFTER_ONE,
    math.inf,
]
SIGNS = [-1, -1, -1, -1, -1, -1, 1, 1, 1, 1, 1, 1, 1]
INSIDE = [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]


def test_zero_and_negative_zero_are_plus_one():
    assert sign(torch.tensor(X)).tolist() == SIGNS
    assert sign_ste(torch.tensor(X)).tolist() == SIGNS
    assert Sign()(torch.tensor(X)).tolist() == SIGNS


def test_nan_is_minus_one():
    assert sign(torch.tensor([math.nan, -math.nan])).tolist() == [-1, -1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64])
def test_dtype_and_shape_are_kept(dtype):
    x = torch.tensor([[-3, 0], [0, 5]]).to(dtype)
    assert sign(x).dtype == dtype
    assert sign(x).tolist() == [[-1, 1], [1, 1]]
    assert sign(torch.empty(0, 3, dtype=dtype)).shape == (0, 3)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=30))
def test_is_idempotent_and_two_valued(values):
    once = sign(torch.tensor(values))
    assert torch.equal(sign(once), once)
    assert once.tolist() == [1.0 if v >= 0 else -1.0 for v in values]


@pytest.mark.parametrize("function", [sign_ste, Sign(), Sign("saturated")])
def test_saturated_gradient_is_inclusive_at_one(function):
    x = torch.tensor(X, requires_grad=True)
    upstream = torch.arange(1.0, len(X) + 1)
    function(x).backward(upstream)
    assert x.grad.tolist() == [g * inside for g, inside in zip(upstream.tolist(), INSIDE, strict=True)]


def test_identity_gradient_has_no_mask():
    x = torch.tensor(X, requires_grad=True)
    Sign("identity")(x).backward(torch.full((len(X),), -2.5))
    assert x.grad.tolist() == [-2.5] * len(X)


def test_the_saved_input_is_guarded_against_in_place_changes():
    leaf = torch.tensor([0.5, 3.0], requires_grad=True)
    x = leaf * 1
    y = sign_ste(x)
    x.mul_(10)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_changing_the_result_in_place_does_not_change_the_gradient():
    x = torch.tensor([0.5, -3.0, 1.0], requires_grad=True)
    y = Sign()(x)
    y.mul_(7)
    y.sum().backward()
    assert x.grad.tolist() == [7, 0, 7]


def test_input_is_left_alone():
    x = torch.tensor([-0.3, 0.0, 4.0])
    before = x.clone()
    Sign()(x)
    Sign().quantize(x)
    assert torch.equal(x, before)


def test_codes_are_the_values():
    quantized = Sign().quantize(torch.tensor([[0.2, -0.0], [-7.0, 0.0]]))
    assert quantized.codes.dtype == torch.int8
    assert quantized.codes.tolist() == [[1, 1], [-1, 1]]
    assert quantized.format is BINARY
    assert quantized.zero_point is None
    assert quantized.has_unit_scale
    assert torch.equal(quantized.dequantize(), Sign()(torch.tensor([[0.2, -0.0], [-7.0, 0.0]])))


def test_latent_weights_are_clipped_in_place_and_not_in_forward():
    weight = nn.Parameter(torch.tensor([-5.0, -1.0, 0.3, 1.0, 2.0]))
    quantizer = Sign()
    quantizer(weight)
    assert weight.max() == 2
    quantizer.clip_latent_(weight)
    assert weight.tolist() == [-1.0, -1.0, pytest.approx(0.3), 1.0, 1.0]
    assert weight.requires_grad
    Sign(clip=0.25).clip_latent_(weight)
    assert weight.abs().max() == 0.25


def test_no_clip():
    weight = torch.tensor([7.0])
    Sign(clip=None).clip_latent_(weight)
    assert weight.item() == 7


def test_a_weight_clipped_to_one_can_still_move():
    weight = nn.Parameter(torch.tensor([1.0]))
    Sign()(weight).sum().backward()
    assert weight.grad.item() == 1


def test_unknown_estimator():
    with pytest.raises(ValueError, match="estimator must be 'saturated' or 'identity', got 'tanh'"):
        make("sign", estimator="tanh")


def test_it_has_no_state_and_is_ready():
    assert Sign().state_dict() == {}
    assert Sign().is_ready
    assert repr(Sign()) == "Sign(estimator='saturated', clip=1.0)"
