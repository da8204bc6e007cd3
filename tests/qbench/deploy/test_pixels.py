import pytest
import torch

from qbench.data import source
from qbench.deploy.pixels import KNOWN, find_pixels

Q = torch.arange(256, dtype=torch.uint8)


@pytest.mark.parametrize("pixels", KNOWN)
def test_every_pixel_comes_back(pixels):
    values = pixels.decode(Q)
    assert torch.equal(pixels.encode(values), Q)
    assert pixels.bound == max(abs(pixels.multiplier * q - pixels.offset) for q in range(256))


def test_the_ways_to_compute_a_pixel_are_one():
    paper = KNOWN[1]
    for values in (2 * (Q.float() / 255) - 1, Q.float() / 127.5 - 1, (Q.double() / 255 * 2 - 1).float()):
        assert torch.equal(paper.encode(values), Q)


@pytest.mark.parametrize("value", [0.0, 1.001, -1.2, float("nan"), float("inf")])
def test_a_value_between_pixels_is_refused(value):
    with pytest.raises(ValueError, match="of pixels q in 0"):
        KNOWN[1].encode(torch.tensor([1.0, value]))


def test_digits_are_pixels_and_noise_is_not():
    images = source("digits").load(0).train.images
    found = find_pixels(images)
    assert found == KNOWN[0]
    assert torch.equal(found.decode(found.encode(images)), images)
    assert find_pixels(2 * Q.float() / 255 - 1) == KNOWN[1]
    assert find_pixels(torch.randn(10)) is None
