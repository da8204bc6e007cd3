"""Integer weights in groups, against a loop over the groups in float64."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quantizers import GroupInteger, LayerPlace, group_scales, make, make_for_layer, storage_bytes

W = torch.randn(6, 3, 5, 2, generator=torch.Generator().manual_seed(0))  # rows of 30


def stored(wanted: float, scale_bits: int) -> float:
    """The smallest number that the scale's width holds and that is no smaller, found by numpy and logarithms."""
    if scale_bits == 16:
        near = np.float16(min(wanted, 65504.0))
        return float(near if float(near) >= min(wanted, 65504.0) else np.nextafter(near, np.float16(np.inf)))
    if scale_bits == 8:
        power = 2.0 ** math.floor(math.log2(wanted))
        return min(max(power if power >= wanted else 2 * power, 2.0**-127), 2.0**127)
    return float(np.float32(wanted))


def expected(weight, bits, group_size, scale_bits):
    """Scale and value of each weight, one at a time: lists of lists."""
    top = 2 ** (bits - 1) - 1
    scales, values = [], []
    for row in weight.reshape(len(weight), -1).tolist():
        scales.append([])
        values.append([])
        for start in range(0, len(row), group_size):
            group = row[start : start + group_size]
            largest = max(abs(w) for w in group)
            scale = stored(largest / top, scale_bits) if largest else 1.0
            scales[-1].append(scale)
            for w in group:
                code = round(float(np.float32(w) / np.float32(scale)))  # Python rounds half to even
                values[-1].append(float(np.float32(max(-top, min(top, code))) * np.float32(scale)))
    return scales, values


@pytest.mark.parametrize("scale_bits", [32, 16, 8])
@pytest.mark.parametrize("group_size", [1, 7, 10, 30, 31, 1000])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_values_and_scales_are_those_of_the_formula(bits, group_size, scale_bits):
    quantizer = GroupInteger(bits, group_size, scale_bits)
    quantized = quantizer.quantize(W)
    scales, values = expected(W, bits, group_size, scale_bits)
    assert quantized.scale.tolist() == scales
    assert quantizer(W).reshape(6, -1).tolist() == values
    assert torch.equal(quantized.dequantize(), quantizer(W))
    assert bool(quantized.format.holds(quantized.codes).all())


def test_by_hand_with_zeros_and_ties():
    weight = torch.tensor([[7.0, 0.5, -0.5, 1.5, 0.0, 0.0, -14.0]])
    quantized = GroupInteger(4, 4, 32).quantize(weight)
    assert quantized.codes.tolist() == [[7, 0, 0, 2, 0, 0, -7]]  # 0.5 to 0 and 1.5 to 2: half to even
    assert quantized.scale.tolist() == [[1.0, 2.0]]
    assert quantized.codes.dtype == torch.int8
    zeros = GroupInteger(4, 2, 16).quantize(torch.zeros(2, 3))
    assert zeros.scale.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert not bool(torch.signbit(GroupInteger(4, 2, 16)(-torch.zeros(2, 3))).any())


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(1, 3),
    length=st.integers(1, 40),
    group_size=st.integers(1, 50),
    bits=st.integers(2, 8),
    scale_bits=st.sampled_from([32, 16, 8]),
    magnitude=st.integers(-120, 120),
    seed=st.integers(0, 2**31),
)
def test_forward_is_the_dequantized_codes_and_no_value_saturates(
    rows, length, group_size, bits, scale_bits, magnitude, seed
):
    weight = torch.randn(rows, length, generator=torch.Generator().manual_seed(seed)) * 2.0**magnitude
    quantizer = GroupInteger(bits, group_size, scale_bits)
    quantized = quantizer.quantize(weight)
    assert torch.equal(quantizer(weight), quantized.dequantize())
    assert quantized.scale.shape == (rows, -(-length // group_size))
    if scale_bits != 16 or abs(magnitude) < 10:
        error = (quantizer(weight).double() - weight.double()).abs()
        half = quantized.per_code(quantized.scale).double() / 2
        assert bool((error <= half * (1 + 1e-6) + 1e-45).all())


class TestStoredScale:
    def test_float16_is_rounded_up(self):
        wanted = torch.tensor([[1 + 2.0**-11], [1 + 2.0**-10], [2.0**-25], [3.3]])
        found = group_scales(wanted, None, 1.0, 16)
        assert found.flatten().tolist() == [1 + 2.0**-10, 1 + 2.0**-10, 2.0**-24, 3.30078125]
        assert torch.equal(found.half().float(), found)

    def test_float16_ends_at_its_largest_and_such_groups_saturate(self):
        weight = torch.tensor([[1e6, 3.0]])
        assert GroupInteger(4, 2, 16).quantize(weight).scale.item() == 65504.0
        assert GroupInteger(4, 2, 16)(weight).tolist() == [[7 * 65504.0, 0.0]]

    def test_weights_below_the_smallest_float16_become_zero(self):
        weight = torch.tensor([[1e-9, 0.0]])
        assert GroupInteger(4, 2, 16).quantize(weight).scale.item() == 2.0**-24
        assert GroupInteger(4, 2, 16)(weight).tolist() == [[0.0, 0.0]]

    def test_powers_of_two(self):
        wanted = torch.tensor([[1.0], [1.0000001], [0.9], [5.0], [1e-45], [3.4e38]])
        found = group_scales(wanted, None, 1.0, 8)
        assert found.flatten().tolist() == [1.0, 2.0, 1.0, 8.0, 2.0**-127, 2.0**127]

    def test_the_power_of_the_mx_specification(self):
        # 2^(floor(log2 max) - 2) of E2M1, whose largest power of two is 4: section 6.3.
        wanted = torch.tensor([[6.0], [7.9], [8.0], [4.0], [3.9]])
        assert group_scales(wanted, None, 6.0, 8, cover=False).flatten().tolist() == [1.0, 1.0, 2.0, 1.0, 0.5]

    def test_float32_takes_the_largest_float64(self):
        assert group_scales(torch.full((1, 2), 1e300, dtype=torch.float64), None, 7.0, 32).item() == pytest.approx(
            3.4028234663852886e38
        )


def test_gradient_is_passed_on():
    weight, upstream = W.clone().requires_grad_(), torch.randn_like(W)
    GroupInteger(3, 8)(weight).backward(upstream)
    assert torch.equal(weight.grad, upstream)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_dtypes(dtype):
    weight = W.to(dtype)
    found = GroupInteger(4, 8)(weight)
    assert found.dtype == dtype
    assert torch.equal(found, GroupInteger(4, 8).quantize(weight).dequantize().to(dtype))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused_with_the_layer(bad):
    quantizer = GroupInteger()
    quantizer.layer_name = "fc2"
    weight = W.clone()
    weight[1, 2, 3, 0] = bad
    for method in (quantizer, quantizer.quantize):
        with pytest.raises(ValueError, match="fc2: NaN or infinity has no scale"):
            method(weight)


def test_bad_options():
    for options in ({"bits": 1}, {"bits": 9}, {"group_size": 0}, {"group_size": 2.0}, {"scale_bits": 4}):
        with pytest.raises(ValueError, match="must be"):
            make("group_integer", **options)


def test_an_input_is_refused():
    place = LayerPlace("fc1", "activations", "linear", (4, 8), 0, 2)
    with pytest.raises(ValueError, match="fc1: group_integer quantizes weights"):
        make_for_layer("group_integer", place, {})


def test_stored_bytes_by_hand():
    assert storage_bytes(GroupInteger(4, 32, 16).quantize(torch.randn(64, 256))) == 64 * 128 + 64 * 8 * 2
    # 45 weights a row: 23 bytes of codes, and groups of 32 and of 13 with 2 bytes each.
    assert storage_bytes(GroupInteger(4, 32, 16).quantize(torch.randn(10, 5, 3, 3))) == 10 * 23 + 10 * 2 * 2
    assert storage_bytes(GroupInteger(3, 32, 8).quantize(torch.randn(10, 5, 3, 3))) == 10 * 17 + 10 * 2
    assert storage_bytes(GroupInteger(4, 100, 32).quantize(torch.randn(2, 9))) == 2 * 5 + 2 * 4
    assert storage_bytes(GroupInteger(4, 32, 16).quantize(torch.zeros(2, 32))) == 2 * 16 + 2 * 2  # scale 1 and all


def test_copies_and_pickles():
    quantizer = GroupInteger(3, 5, 8)
    for copied in (copy.deepcopy(quantizer), pickle.loads(pickle.dumps(quantizer))):  # noqa: S301
        assert copied.format == quantizer.format
        assert torch.equal(copied(W), quantizer(W))
    assert not quantizer.state_dict()


def test_rows_of_no_weights():
    for shape in ((0, 40), (3, 0), (0,)):
        weight = torch.empty(shape)
        assert GroupInteger()(weight).shape == shape
        assert GroupInteger().quantize(weight).codes.shape == shape
