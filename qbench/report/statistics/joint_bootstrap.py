"""Accuracies of several groups under one resampling of seeds and test images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def joint_draws(
    correct: Sequence[NDArray[np.bool_]], seeds: Sequence[Sequence[int]], draws: int, seed: int = 0
) -> NDArray[np.float64]:
    """Return [groups, draws], each group's mean accuracy in each bootstrap draw.

    One draw takes N test images with replacement, the same for all groups, and of each group as many seeds as it has,
    the same for groups with the same seeds: what groups have in common moves them alike. Images that the same trainings
    get right are interchangeable: counts are drawn for the distinct columns, and 10,000 images take little longer than
    300.

    Source: Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1(2), 2007.

    Args:
        correct: [S, N] of each group, on the same N images.
        seeds: of each group, a seed for each of its S rows.
        draws, seed: of the bootstrap; the same seed gives the same draws.

    Raises:
        ValueError: groups with different numbers of images, or rows without a seed.
    """
    if len({each.shape[1] for each in correct}) != 1 or any(
        len(c) != len(s) for c, s in zip(correct, seeds, strict=True)
    ):
        raise ValueError("expected the same images for all groups, and a seed for each training")
    generator = np.random.default_rng(seed)
    columns, counts = np.unique(np.concatenate(correct), axis=1, return_counts=True)
    images = counts.sum()
    of_images = generator.multinomial(images, counts / images, size=draws).astype(np.float64)
    by_training = columns.astype(np.float64) @ of_images.T / images
    of_seeds: dict[tuple[int, ...], NDArray[np.int64]] = {}
    found, begin = [], 0
    for each, own in zip(correct, seeds, strict=True):
        size = len(each)
        order = np.argsort(own)
        if (key := tuple(sorted(own))) not in of_seeds:
            of_seeds[key] = generator.multinomial(size, np.full(size, 1 / size), size=draws)
        rows = by_training[begin : begin + size][order]
        found.append((rows * of_seeds[key].T).sum(axis=0) / size)
        begin += size
    return np.asarray(found)
