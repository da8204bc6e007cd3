"""Pixels and the quantizer that rounds to them, against float64 arithmetic."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from quantizers import KNOWN_PIXELS, PIXEL8, Pixel8, Pixels, find_pixels, make

Q = torch.arange(256, dtype=torch.uint8)


@pytest.mark.parametrize("pixels", KNOWN_PIXELS)
def test_every_pixel_comes_back(pixels):
    values = pixels.decode(Q)
    assert torch.equal(pixels.encode(values), Q)
    assert pixels.bound == max(abs(pixels.multiplier * q - pixels.offset) for q in range(256))


def test_the_ways_to_compute_a_pixel_are_one():
    paper = KNOWN_PIXELS[1]
    for values in (2 * (Q.float() / 255) - 1, Q.float() / 127.5 - 1, (Q.double() / 255 * 2 - 1).float()):
        assert torch.equal(paper.encode(values), Q)


@pytest.mark.parametrize("value", [0.0, 1.001, -1.2, float("nan"), float("inf")])
def test_a_value_between_pixels_is_refused(value):
    with pytest.raises(ValueError, match="of pixels q in 0"):
        KNOWN_PIXELS[1].encode(torch.tensor([1.0, value]))


def test_the_first_known_pixels_that_fit_are_found():
    eighths = torch.arange(17).float() / 8 - 1
    assert find_pixels(eighths) == KNOWN_PIXELS[0]
    assert find_pixels(2 * Q.float() / 255 - 1) == KNOWN_PIXELS[1]
    assert find_pixels(torch.randn(10)) is None


@pytest.mark.parametrize(
    ("numbers", "match"),
    [
        ((3, 1, 1), "multiplier must be an integer from 1 to 2, got 3"),
        ((0, 1, 1), "multiplier must be an integer"),
        ((2, -1, 1), "offset must be an integer from 0"),
        ((2, 1, 0), "divisor must be an integer from 1"),
        ((2, 1, 2.0), "divisor must be an integer"),
        ((True, 1, 1), "multiplier must be an integer"),
    ],
)
def test_numbers_that_describe_no_pixels(numbers, match):
    with pytest.raises(ValueError, match=match):
        Pixels(*numbers)
    with pytest.raises(ValueError, match=match):
        Pixel8(*numbers)


@pytest.mark.parametrize("pixels", KNOWN_PIXELS)
def test_pixels_keep_their_values(pixels):
    quantizer = make("pixel8", multiplier=pixels.multiplier, offset=pixels.offset, divisor=pixels.divisor)
    exact = (pixels.multiplier * Q.double() - pixels.offset) / pixels.divisor
    found = quantizer.quantize(exact.float())
    assert torch.equal(found.codes, Q)
    assert found.format == quantizer.format == PIXEL8
    assert found.scale == torch.tensor(pixels.scale)
    torch.testing.assert_close(found.dequantize().double(), exact, rtol=1.2e-7, atol=0)
    assert torch.equal(quantizer(exact.float()), found.dequantize())


def test_the_default_is_binarynets_whose_zero_is_between_two_codes():
    found = Pixel8().quantize(torch.tensor([-1.0, 1.0]))
    assert (found.codes.tolist(), found.zero_point.item()) == ([0, 255], 127.5)
    assert found.dequantize().tolist() == [-1.0, 1.0]


@given(st.lists(st.floats(-2, 2, width=32), min_size=1), st.sampled_from(KNOWN_PIXELS))
def test_other_values_go_to_the_nearest_pixel(values, pixels):
    quantizer = Pixel8(pixels.multiplier, pixels.offset, pixels.divisor)
    x = torch.tensor(values)
    every = (pixels.multiplier * torch.arange(256, dtype=torch.float64) - pixels.offset) / pixels.divisor
    nearest = (x.double()[:, None] - every).abs().min(1).values
    found = quantizer(x)
    assert ((found.double() - x.double()).abs() - nearest).abs().max() <= 1e-6
    assert torch.equal(found, quantizer.quantize(x).dequantize())


def test_beyond_the_pixels_values_saturate_and_gradients_end():
    x = torch.tensor([-1.5, -1.0, 0.001, 1.0, 1.01, float("inf"), -float("inf")], requires_grad=True)
    y = Pixel8()(x)
    y.backward(torch.arange(1.0, 8.0))
    assert y.tolist() == pytest.approx([-1, -1, 1 / 255, 1, 1, 1, -1])
    assert x.grad.tolist() == [0, 2, 3, 4, 0, 0, 0]


def test_nan_stays_visible_in_forward_and_has_no_code():
    quantizer = Pixel8()
    quantizer.layer_name = "conv.input"
    assert quantizer(torch.tensor([float("nan")])).isnan().all()
    with pytest.raises(ValueError, match=r"conv\.input: NaN has no code"):
        quantizer.quantize(torch.tensor([0.0, float("nan")]))


def test_dtypes():
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        x = torch.tensor([-1.0, 1.0], dtype=dtype)
        assert torch.equal(Pixel8()(x), x)
        assert Pixel8()(x).dtype == dtype
