"""Contrast normalization against its formulas, written out pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qbench.data.contrast import global_contrast, local_contrast


def test_global_contrast_of_pixels():
    pixels = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    x = pixels.numpy().reshape(5, -1).astype(np.float64)
    x -= x.mean(1, keepdims=True)
    expected = 55 * x / np.linalg.norm(x, axis=1, keepdims=True)
    found = global_contrast(pixels, length=55)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy().reshape(5, -1), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [0, 1, 97, 255])
def test_a_constant_image_becomes_zeros_and_a_single_pixel_does_not(value):
    pixels = torch.full((2, 3, 32, 32), value, dtype=torch.uint8)
    pixels[1, 0, 0, 0] ^= 1
    found = global_contrast(pixels, length=55)
    assert not found[0].any()
    assert found[1].norm().item() == pytest.approx(55, rel=1e-4)


def lcn_by_hand(image, size=7, sigma=2.0, threshold=1e-4):
    """One channel [H, W]: loops over pixels and the window, zeros outside."""
    half = size // 2
    weights = {
        (i, j): np.exp(-(i**2 + j**2) / (2 * sigma**2)) for i in range(-half, half + 1) for j in range(-half, half + 1)
    }
    total = sum(weights.values())
    height, width = image.shape
    mean, square = np.zeros_like(image), np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            for (i, j), weight in weights.items():
                if 0 <= row + i < height and 0 <= column + j < width:
                    value = image[row + i, column + j]
                    mean[row, column] += weight / total * value
                    square[row, column] += weight / total * value**2
    deviation = np.sqrt(square)
    return (image - mean) / np.maximum(np.maximum(deviation, deviation.mean()), threshold)


def test_local_contrast_channel_by_channel():
    numbers = np.random.default_rng(0)
    images = numbers.normal(size=(2, 3, 11, 9)) * np.array([1.0, 5.0, 0.1]).reshape(1, 3, 1, 1)
    images[1, 2] = 0  # no contrast at all
    found = local_contrast(torch.from_numpy(images))
    assert found.dtype == torch.float32
    for number in range(2):
        for channel in range(3):
            expected = lcn_by_hand(images[number, channel])
            np.testing.assert_allclose(found[number, channel].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_local_contrast_ignores_the_scale():
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(local_contrast(images), local_contrast(images * 64), rtol=1e-4, atol=1e-5)


def test_an_even_window_is_refused():
    with pytest.raises(ValueError, match="odd"):
        local_contrast(torch.zeros(1, 1, 8, 8), size=6)
