"""Examples as pixels, and validation sets cut from a training set."""

from __future__ import annotations

import pytest
import torch

from qbench.data.splits import Examples, hold_out
from quantizers import Pixels, find_pixels


def every_pixel():
    return Examples(torch.arange(256, dtype=torch.uint8).reshape(256, 1, 1, 1), torch.arange(256))


def test_pixels_are_the_nearest_float32_of_two_pixels_over_255_minus_one():
    images = every_pixel().images
    exact = (2 * torch.arange(256, dtype=torch.float64) - 255) / 255
    assert torch.equal(images.flatten(), exact.float())
    assert (images.min(), images.max()) == (-1, 1)
    assert torch.equal(images, -images.flip(0))


def test_the_packed_execution_finds_the_pixels_again():
    examples = every_pixel()
    assert find_pixels(examples.images) == Pixels(multiplier=2, offset=255, divisor=255)
    assert torch.equal(find_pixels(examples.images).encode(examples.images), examples.stored)


def test_other_types_and_lengths_are_refused():
    with pytest.raises(TypeError, match=r"float32, or uint8 pixels, got torch\.float64"):
        Examples(torch.zeros(2, 1, dtype=torch.float64), torch.zeros(2))
    with pytest.raises(ValueError, match="3 images with 2 labels"):
        Examples(torch.zeros(3, 1), torch.zeros(2))


def test_holding_out():
    training = Examples(torch.arange(40.0).reshape(40, 1), torch.arange(40) % 4)
    test = Examples(torch.zeros(5, 1), torch.zeros(5))
    last = hold_out(training, test, 0, 12)
    assert last.validation.images.flatten().tolist() == list(range(28, 40))
    assert last.train.images.flatten().tolist() == list(range(28))
    drawn = hold_out(training, test, 1, 12)
    assert drawn.validation.labels.bincount().tolist() == [3] * 4
    assert sorted(torch.cat([drawn.train.images, drawn.validation.images]).flatten().tolist()) == list(range(40))
    assert drawn.validation.images.flatten().tolist() != last.validation.images.flatten().tolist()
    for splits in (last, drawn):
        assert torch.equal(splits.test.images, test.images)
