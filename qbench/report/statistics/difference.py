"""The difference of two groups' accuracies on the same test images and seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qbench.report.statistics.crossed import CrossedMean, crossed_mean
from qbench.report.statistics.significance import paired_test

MIN_SEEDS = 3
"""Fewer say too little of other seeds: an interval over seeds is withheld."""


@dataclass(frozen=True)
class Difference:
    """Accuracy of the first group minus that of the second, as fractions, from pairs of trainings with equal seeds.

    Attributes:
        mean: the difference.
        low, high: its 95 % interval: over seeds and images, or, with fewer than `MIN_SEEDS` pairs, over images alone.
        over: what the interval is over, `seeds and images` or `images`.
        p: two-sided, of the hypothesis of no difference, over what the interval is over.
        p_seeds: `paired_t` over the seeds, for these images; None with fewer than two pairs or no spread.
        p_images: McNemar's exact test over the images, Bonferroni over the seeds, for these trainings.
        seeds, images: numbers of pairs and of test images.
        detectable: the smallest difference that a comparison of this size and spread finds in 80 % of cases at 5 %.
        seeds_needed: how many seeds would find a difference of this size in 80 % of cases; None where no number would,
            because the test images are too few (or the difference is 0).
    """

    mean: float
    low: float
    high: float
    over: str
    p: float
    p_seeds: float | None
    p_images: float
    seeds: int
    images: int
    detectable: float | None = None
    seeds_needed: int | None = None


def difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Difference:
    """Compare what two groups predict right: `first`, `second` [S, N], row s of both with the same seed.

    Raises:
        ValueError: no seed, no image, or unequal shapes.
    """
    if first.shape != second.shape or 0 in first.shape:
        raise ValueError(f"expected two equal shapes [seeds, images], got {first.shape} and {second.shape}")
    deltas = first.astype(np.float64) - second.astype(np.float64)
    tests = paired_test(list(first), list(second))
    found = _over_both(deltas) if len(deltas) >= MIN_SEEDS else _over_images(deltas)
    half = found.half_width()
    return Difference(
        found.mean,
        found.mean - half,
        found.mean + half,
        "seeds and images" if len(deltas) >= MIN_SEEDS else "images",
        found.p_value(),
        tests.p_seeds,
        min(1.0, 2 * min(tests.p_images, tests.p_images_against)),
        *deltas.shape,
    )


def _over_both(deltas: NDArray[np.float64]) -> CrossedMean:
    return crossed_mean(deltas)


def _over_images(deltas: NDArray[np.float64]) -> CrossedMean:
    """Return the mean over images of the mean over these seeds."""
    each = deltas.mean(axis=0)
    variance = float(each.var(ddof=1)) if len(each) > 1 else 0.0
    return CrossedMean(
        float(each.mean()), variance / len(each), max(len(each) - 1, 1), len(deltas), len(each), 0.0, variance, 0.0
    )
