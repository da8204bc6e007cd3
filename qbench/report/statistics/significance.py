"""Whether one scheme is better than another: paired tests over seeds and over test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, stdtr

SIGNIFICANCE = 0.05
"""A p-value of at most this much is a difference: what a 95 % interval leaves out."""


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided exact p-value of McNemar's test.

    Let b be the number of images that only the first gets right, and c that of images that only the second gets right.
    If neither is better, b ~ Binomial(b + c, 1/2), so that
    `p = min(1, 2·Σ_{k <= min(b, c)} C(b + c, k) / 2^(b + c))`; p = 1 where b + c = 0.

    Source: McNemar, Psychometrika 12, 1947; exact form as in Dietterich, Neural Computation 10(7), 1998.
    """
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))


def paired_t(differences: Sequence[float]) -> float | None:
    """Return the two-sided p-value of the t-test that the mean of paired differences is 0.

    None where the test says nothing: for fewer than two differences, and for equal ones, which have no spread.
    """
    if len(differences) < 2:
        return None
    if len(set(differences)) == 1:
        return None
    values = np.asarray(differences, dtype=np.float64)
    error = values.std(ddof=1) / sqrt(len(values))
    return float(2 * stdtr(len(values) - 1, -abs(values.mean()) / error)) if error > 0 else None


@dataclass(frozen=True)
class PairedTest:
    """The comparison of two schemes that were trained with the same seeds, on the same test images.

    Attributes:
        difference: mean error of the second minus that of the first, in percentage points: above 0 the first is better.
        seeds: number of pairs of trainings.
        p_seeds: `paired_t` of the errors.
        p_images: the smallest of McNemar's p-values over the seeds in which the first is better, times the number of
            all seeds (Bonferroni); 1 at most.
        p_images_against: the same over the seeds in which the second is better.
    """

    difference: float
    seeds: int
    p_seeds: float | None
    p_images: float
    p_images_against: float


def paired_test(first: Sequence[NDArray[np.bool_]], second: Sequence[NDArray[np.bool_]]) -> PairedTest:
    """Compare what two schemes predict right.

    Args:
        first, second: for each seed an array [N] of the same N test images, True where the prediction is right.

    Raises:
        ValueError: no seed, or unequal numbers of seeds or images.
    """
    if not first or len(first) != len(second) or any(a.shape != b.shape for a, b in zip(first, second, strict=True)):
        raise ValueError(f"expected equal numbers of seeds and images, got {len(first)} and {len(second)} seeds")
    differences, least, against = [], 1.0, 1.0
    for a, b in zip(first, second, strict=True):
        only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
        differences.append(100 * (only_first - only_second) / len(a))
        p = mcnemar(only_first, only_second)
        if only_first > only_second:
            least = min(least, p)
        elif only_second > only_first:
            against = min(against, p)
    seeds = len(first)
    mean = sum(differences) / seeds
    return PairedTest(mean, seeds, paired_t(differences), min(1.0, seeds * least), min(1.0, seeds * against))
