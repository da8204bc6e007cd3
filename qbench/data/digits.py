"""The embedded data set: scikit-learn's digits, 1,797 scans of 8×8 pixels."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from qbench.data.splits import Examples, Splits, stratified


def load(split_seed: int = 0) -> Splits[Examples]:
    """Return digits, pixels 0..16 as `2x/16 - 1`, split 60/20/20 by class: 1,077 / 360 / 360 images [N, 1, 8, 8].

    The scaled pixels are multiples of 1/8, so that their sums are exact in float32 in any order.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its test part).
    """
    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(pixels).float().reshape(-1, 1, 8, 8) / 8 - 1
    return stratified(Examples(images, torch.from_numpy(labels).long()), split_seed)
