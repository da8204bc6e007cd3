"""Weights from tables of values, against a search over all values in float64."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from scipy.stats import norm

from quantizers import VALUE_TABLES, LayerPlace, Table, make, make_for_layer, storage_bytes

W = torch.randn(5, 30, generator=torch.Generator().manual_seed(1))


def test_nf4_is_made_of_normal_quantiles():
    # As published code has it: 8 quantiles above the middle, 7 below, 0, and all over the largest (offset 0.9677083).
    offset = 0.5 * ((1 - 1 / 32) + (1 - 1 / 30))
    above = norm.ppf(np.linspace(offset, 0.5, 9)[:-1])
    below = -norm.ppf(np.linspace(offset, 0.5, 8)[:-1])
    values = np.sort(np.concatenate([above, [0.0], below]))
    assert np.array(VALUE_TABLES["nf4"]) == pytest.approx(values / values.max(), abs=3e-7)
    assert len(VALUE_TABLES["nf4"]) == 16


def test_e2m1_is_sign_exponent_and_mantissa():
    values = set()
    for exponent in range(4):
        for mantissa in range(2):
            magnitude = mantissa / 2 if exponent == 0 else (1 + mantissa / 2) * 2 ** (exponent - 1)
            values |= {magnitude, -magnitude}
    assert list(VALUE_TABLES["e2m1"]) == sorted(values)


@pytest.mark.parametrize("group_size", [None, 1, 8, 30, 64])
@pytest.mark.parametrize("values", ["nf4", "e2m1", (0.3, -1.0, 5.0), (2.0, 1.0)])
def test_every_weight_takes_the_nearest_value(values, group_size):
    table = VALUE_TABLES.get(values, values)
    quantizer = Table(values, group_size, 32)
    quantized = quantizer.quantize(W)
    top = max(map(abs, table))
    size = group_size or 30
    for row, codes, found in zip(W.tolist(), quantized.codes.tolist(), quantizer(W).tolist(), strict=True):
        for start in range(0, 30, size):
            group = row[start : start + size]
            scale = float(np.float32(max(map(abs, group)) / top))
            for at, w in enumerate(group, start):
                distances = [abs(w / scale - value) for value in table]
                assert distances[codes[at]] == min(distances)
                assert found[at] == float(np.float32(table[codes[at]]) * np.float32(scale))
    assert torch.equal(quantizer(W), quantized.dequantize())
    assert bool(quantized.format.holds(quantized.codes).all())


def test_ties_in_e2m1_go_to_the_even_mantissa():
    # Magnitudes 0, 0.5, 1, 1.5, 2, 3, 4, 6: of two neighbours one has mantissa bit 0 (0, 1, 2, 4).
    weight = torch.tensor([[6.0, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, -0.25, -0.75, -1.25, -2.5, -5.0, 0.0]])
    expected = [[6.0, 0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 0.0, -1.0, -1.0, -2.0, -4.0, 0.0]]
    assert make("table", values="e2m1")(weight).tolist() == expected


def test_ties_of_integers_are_half_to_even():
    weight = torch.arange(-4, 4.25, 0.25).reshape(1, -1)
    found = make("table", values=[3, -3, 0, 1, -1, 2, -2, 4, -4])(weight)
    assert torch.equal(found, torch.round(weight))


def test_by_hand():
    quantized = make("table", values=[-1.0, 0.0, 0.25, 1.0]).quantize(torch.tensor([[2.0, 0.4, -0.1, -1.2]]))
    assert quantized.codes.tolist() == [[3, 2, 1, 0]]
    assert quantized.dequantize().tolist() == [[2.0, 0.5, 0.0, -2.0]]
    assert quantized.codes.dtype == torch.uint8
    assert quantized.scale.tolist() == [[2.0]]


def test_mxfp4_by_hand():
    weight = torch.tensor([[7.0, 1.0, 0.3, 0.1]])
    covered = make("table", values="e2m1", group_size=4, scale_bits=8)
    assert covered.quantize(weight).scale.item() == 2.0
    assert covered(weight).tolist() == [[8.0, 1.0, 0.0, 0.0]]  # 3.5 ties to 4
    suggested = make("table", values="e2m1", group_size=4, scale_bits=8, cover=False)
    assert suggested.quantize(weight).scale.item() == 1.0
    assert suggested(weight).tolist() == [[6.0, 1.0, 0.5, 0.0]]


def test_what_reaches_further_on_one_side_saturates_on_the_other():
    assert make("table", values=[-2.0, 0.0, 1.0])(torch.tensor([[4.0, -1.0]])).tolist() == [[2.0, 0.0]]


def test_a_scale_for_each_filter_of_a_convolution():
    weight = torch.randn(4, 2, 3, 3)
    quantized = make("table", values="nf4").quantize(weight)
    assert quantized.scale.shape == (4, 1, 1, 1)
    assert quantized.scale.flatten().tolist() == weight.abs().amax((1, 2, 3)).tolist()


def test_stored_bytes_by_hand():
    # The values themselves are the format's, and cost nothing.
    nf4 = make("table", values="nf4", group_size=64, scale_bits=16)
    assert storage_bytes(nf4.quantize(torch.randn(16, 256))) == 16 * 128 + 16 * 4 * 2
    mxfp4 = make("table", values="e2m1", group_size=32, scale_bits=8)
    assert storage_bytes(mxfp4.quantize(torch.randn(3, 45))) == 3 * 23 + 3 * 2
    assert storage_bytes(make("table", values=[-1, 0, 2, 4, 9]).quantize(torch.randn(2, 9))) == 2 * 4 + 2 * 4


def test_gradient_is_passed_on():
    weight, upstream = W.clone().requires_grad_(), torch.randn_like(W)
    make("table", values="nf4", group_size=8)(weight).backward(upstream)
    assert torch.equal(weight.grad, upstream)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_is_refused(bad):
    with pytest.raises(ValueError, match="NaN or infinity has no scale"):
        make("table", values="nf4")(torch.tensor([[1.0, bad]]))


def test_bad_options():
    for options, message in (
        ({"values": "nf5"}, "unknown table 'nf5'. Known: nf4, e2m1"),
        ({"values": [1.0]}, "2 to 256 values"),
        ({"values": [1.0, 1.0]}, "finite and different"),
        ({"values": [1.0, math.inf]}, "finite and different"),
        ({"values": "nf4", "cover": False}, "cover=False is of scales of 8 bits, got scale_bits=32"),
        ({"values": "nf4", "scale_bits": 12}, "scale_bits must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            make("table", **options)
    with pytest.raises(ValueError, match="table quantizes weights"):
        make_for_layer("table", LayerPlace("fc", "activations", "linear", (2, 2), 0, 1), {"values": "nf4"})


def test_copies_and_pickles():
    quantizer = make("table", values="nf4", group_size=7, scale_bits=16)
    for copied in (copy.deepcopy(quantizer), pickle.loads(pickle.dumps(quantizer))):  # noqa: S301
        assert copied.format == quantizer.format
        assert torch.equal(copied(W), quantizer(W))
    assert not quantizer.state_dict()


def test_no_weights():
    for shape in ((0, 40), (3, 0)):
        for group_size in (None, 8):
            quantizer = make("table", values="nf4", group_size=group_size)
            assert quantizer(torch.empty(shape)).shape == shape
