"""The embedded digits."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from qbench.data.datasets import get_dataset


def test_digits_are_split_60_20_20_stratified_and_disjoint() -> None:
    splits = get_dataset("digits").load(0)
    sizes = [len(part) for part in (splits.train, splits.validation, splits.test)]
    assert sum(sizes) == 1797
    assert sizes == [1077, 360, 360]
    whole = np.bincount(load_digits().target) / 1797
    for part in (splits.train, splits.validation, splits.test):
        share = np.bincount(part.labels.numpy()) / len(part)
        assert np.abs(share - whole).max() < 0.003
    rows = torch.cat([splits.train.images, splits.validation.images, splits.test.images]).flatten(1)
    original = torch.from_numpy(load_digits().data).float() / 8 - 1
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, original.tolist()))


def test_the_split_depends_on_its_seed_alone() -> None:
    first, again, other = (get_dataset("digits").load(seed).test.images for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_pixels_are_scaled_to_minus_one_to_one_in_eighths() -> None:
    images = get_dataset("digits").load(0).train.images
    assert images.dtype == torch.float32
    assert (images.min(), images.max()) == (-1, 1)
    assert torch.equal(images * 8, (images * 8).round())
