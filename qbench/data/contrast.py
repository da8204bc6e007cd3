"""Contrast normalization of images, global and local."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def global_contrast(images: Tensor, *, length: float) -> Tensor:
    """Subtract from each image the mean of its values, and scale it to the Euclidean length `length`.

    A constant image becomes zeros.

    Args:
        images: pixels 0..255, [N, C, H, W], of any real type.
        length: of each result.

    Returns:
        float32 [N, C, H, W].

    Source: pylearn2's global_contrast_normalize; Coates, Lee, Ng, 2011.
    """
    x = images.flatten(1).to(torch.float32)
    x = x - x.mean(1, keepdim=True)
    norm = x.square().sum(1, keepdim=True).sqrt_()
    # A mean that rounded leaves some 1e-5 of a constant image of pixels; one pixel of difference leaves 0.98.
    norm[norm < 1e-2] = math.inf
    return x.mul_(length / norm).reshape(images.shape)


def local_contrast(images: Tensor, *, size: int = 7, sigma: float = 2.0, threshold: float = 1e-4) -> Tensor:
    """Subtract from each channel its local mean, and divide by its local root mean square.

        y = (x - G * x) / max(d, d̄, threshold)    d = sqrt(G * x²)

    `*` is convolution with zeros outside the image, G a Gaussian window of `size`² values that sum to 1, and d̄ the mean
    of d over the channel. d squares x, not `x - G * x`, as does pylearn2's code, which made the papers' SVHN.

    Args:
        images: [N, C, H, W], of any real type.
        size: the window's height and width, odd.
        sigma: the Gaussian's standard deviation, in pixels.
        threshold: the smallest divisor.

    Returns:
        float32 [N, C, H, W].

    Raises:
        ValueError: an even window.

    Source: pylearn2's LeCunLCN; Jarrett et al., What is the best multi-stage architecture for object recognition?
    ICCV 2009.
    """
    if size % 2 == 0:
        raise ValueError(f"size must be odd, got {size}")
    x = images.to(torch.float32)
    # The window is the product of a column and a row. Smoothing is then two products with band matrices, which are far
    # faster than a convolution of one channel.
    down, across = (_smoothing(length, size, sigma) for length in x.shape[2:])

    def smooth(values: Tensor) -> Tensor:
        return down @ (values @ across.T)

    deviation = smooth(x.square()).clamp_min_(0).sqrt_()
    floor = deviation.mean((2, 3), keepdim=True).clamp_min_(threshold)
    return (x - smooth(x)) / torch.maximum(deviation, floor)


def _smoothing(length: int, size: int, sigma: float) -> Tensor:
    """Return the matrix [length, length] that smooths a column of pixels by a Gaussian window, zeros outside of it."""
    distance = torch.arange(length).unsqueeze(0) - torch.arange(length).unsqueeze(1)
    weights = (-torch.arange(-(size // 2), size // 2 + 1, dtype=torch.float64).square() / (2 * sigma**2)).exp()
    band = (-distance.double().square() / (2 * sigma**2)).exp() * (distance.abs() <= size // 2)
    return (band / weights.sum()).to(torch.float32)
