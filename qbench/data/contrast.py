"""Contrast normalization of images, global and local."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def global_contrast(images: Tensor, *, length: float) -> Tensor:
    """Each image minus its mean over all its values, scaled to the Euclidean length `length`; float32 [N, C, H, W].

    A constant image becomes zeros. Images: [N, C, H, W], any real type; pixels 0..255.

    Source: pylearn2's global_contrast_normalize; Coates, Lee, Ng, 2011.
    """
    x = images.flatten(1).to(torch.float32)
    x = x - x.mean(1, keepdim=True)
    norm = x.square().sum(1, keepdim=True).sqrt_()
    # A mean that rounded leaves some 1e-5 of a constant image of pixels; one pixel of difference leaves 0.98.
    norm[norm < 1e-2] = math.inf
    return x.mul_(length / norm).reshape(images.shape)


def local_contrast(images: Tensor, *, size: int = 7, sigma: float = 2.0, threshold: float = 1e-4) -> Tensor:
    """Each channel minus its local mean, over its local root mean square; float32 [N, C, H, W].

    With G a Gaussian window of `size`² values that sum to 1, zeros outside the image, d = sqrt(G * x²) and d̄ its mean
    over the channel:

        y = (x - G * x) / max(d, d̄, threshold)

    The square is of x, not of `x - G * x`: pylearn2's code has it so, from which the papers' SVHN comes.

    Raises:
        ValueError: an even window.

    Source: pylearn2's LeCunLCN; Jarrett et al., What is the best multi-stage architecture for object recognition?
    ICCV 2009.
    """
    if size % 2 == 0:
        raise ValueError(f"size must be odd, got {size}")
    at = torch.arange(size, dtype=torch.float32) - size // 2
    window = (-at.square() / (2 * sigma**2)).exp()
    window /= window.sum()
    shape = images.shape
    x = images.to(torch.float32).reshape(-1, 1, *shape[2:])

    def smooth(values: Tensor) -> Tensor:  # the window is a product of two rows
        across = F.conv2d(values, window.view(1, 1, 1, size), padding=(0, size // 2))
        return F.conv2d(across, window.view(1, 1, size, 1), padding=(size // 2, 0))

    deviation = smooth(x.square()).clamp_min_(0).sqrt_()
    floor = deviation.mean((2, 3), keepdim=True).clamp_min_(threshold)
    return ((x - smooth(x)) / torch.maximum(deviation, floor)).reshape(shape)
