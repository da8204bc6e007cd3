"""How many scales and zero points there may be, and what values a stored one has."""

import pytest
import torch

from quantizers import INT8, UINT8, Quantized, signed_integer, value_table
from quantizers.contract.scales import scale_fault

X = torch.ones(4, 70)
GROUPED = signed_integer(4).grouped(32, 16)


def fault(scale, format=INT8, zero_point=None, x=X, role="weights"):
    codes = torch.ones_like(x, dtype=torch.int8)
    return scale_fault(Quantized(codes, scale, zero_point, format), x, role)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (4, 1), (1, 70), (70,)])
def test_one_scale_or_one_for_each_entry_of_an_axis(shape):
    assert fault(torch.full(shape, 0.3)) is None


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (torch.ones(4, 70), "280 real numbers that nobody counts"),
        (torch.ones(4), "does not broadcast"),
        (torch.ones(3, 1), "does not broadcast"),
        (torch.ones(1, 4, 70), "does not broadcast"),
        (torch.ones((), dtype=torch.int32), "the scale is int32"),
        (torch.tensor(-1.0), "a scale is -1, expected a finite number above 0"),
        (torch.tensor(torch.inf), "a scale is inf"),
        (torch.tensor(torch.nan), "a scale is nan"),
        (torch.tensor(0.0), "a scale is 0 for values that are not"),
        (torch.tensor(0.1, dtype=torch.float64), "stores a scale in 32 bits, got 0.1: make it a float32 value"),
    ],
)
def test_others_are_refused(scale, words):
    assert words in fault(scale)


def test_zeros_may_have_a_scale_of_zero():
    assert fault(torch.zeros(()), x=torch.zeros(4, 70)) is None


def test_inputs_may_have_a_scale_for_each_position_over_all_channels():
    tokens, pixels = torch.ones(2, 5, 70), torch.ones(2, 3, 5, 7)
    assert fault(torch.ones(2, 5, 1), x=tokens, role="activations") is None
    assert fault(torch.ones(2, 1, 5, 7), x=pixels, role="activations") is None
    assert "210 real numbers" in fault(torch.ones(2, 3, 5, 7), x=pixels, role="activations")
    assert "real numbers" in fault(torch.ones(2, 5, 1), x=tokens)


def test_groups_have_ceil_k_over_g_scales_of_their_width():
    half = torch.full((4, 3), 0.1).half().float()
    assert fault(half, GROUPED) is None
    assert "in groups of 32, expected [4, 3]" in fault(half[:, :2], GROUPED)
    assert "in groups of 32, expected [4, 3]" in fault(torch.ones(()), GROUPED)
    assert "int4_g32_s16 stores a scale in 16 bits, got 0.100000001" in fault(torch.full((4, 3), 0.1), GROUPED)
    eighth = signed_integer(4).grouped(32, 8)
    assert fault(torch.full((4, 3), 0.125), eighth) is None
    assert "make it a power of two" in fault(torch.full((4, 3), 0.75), eighth)


@pytest.mark.parametrize(
    ("zero_point", "format", "words"),
    [
        (torch.tensor(128), UINT8, None),
        (torch.arange(70), UINT8, None),
        (torch.tensor(300), UINT8, "a zero point is 300, expected a code from 0 to 255"),
        (torch.tensor(0.25), UINT8, "a zero point is 0.25"),
        (torch.zeros(4, 70), UINT8, "the zero point has the shape [4, 70]"),
        (torch.tensor(0), value_table("two", (0.0, 1.0)), "two has no zero point: give None"),
    ],
)
def test_zero_points_are_codes(zero_point, format, words):
    found = fault(torch.ones(()), format, zero_point)
    assert found is None if words is None else words in found


def test_a_group_longer_than_the_row_takes_no_memory_of_its_size():
    format = signed_integer(4).grouped(10**12, 16)
    assert fault(torch.full((4, 1), 0.5), format) is None
    scale = torch.tensor([[0.5], [0.0], [0.5], [0.5]])
    assert "a scale is 0 for values that are not" in fault(scale, format)
