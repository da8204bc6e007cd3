"""Paired tests of two schemes on the same test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, isnan

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ttest_rel


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p-value of McNemar's test.

    With b images that only the first gets right and c that only the second does, b ~ Binomial(b + c, 1/2) if neither is
    better: `p = min(1, 2·Σ_{k <= min(b, c)} C(b + c, k) / 2^(b + c))`. 1 where b + c = 0.

    Source: McNemar, Psychometrika 12, 1947; exact form as in Dietterich, Neural Computation 10(7), 1998.
    """
    total = only_first + only_second
    tail = sum(comb(total, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**total)


def paired_t(differences: Sequence[float]) -> float | None:
    """Two-sided p-value of the t-test that the mean of paired differences is 0.

    None where it says nothing: fewer than two differences, or equal ones, which have no spread to compare with.
    """
    if len(differences) < 2:
        return None
    if len(set(differences)) == 1:
        return None
    p = float(ttest_rel(differences, np.zeros(len(differences))).pvalue)
    return None if isnan(p) else p


@dataclass(frozen=True)
class PairedTest:
    """Two schemes, trained with the same seeds, on the same test images.

    Attributes:
        difference: mean error of the second less that of the first, in points: above 0 the first is better.
        seeds: pairs of trainings.
        p_seeds: `paired_t` of the errors.
        p_images: the least of McNemar's p-values of the seeds in which the first is better, times the seeds
            (Bonferroni).
        p_images_against: the same of the seeds in which the second is better.
    """

    difference: float
    seeds: int
    p_seeds: float | None
    p_images: float
    p_images_against: float


def paired_test(first: Sequence[NDArray[np.bool_]], second: Sequence[NDArray[np.bool_]]) -> PairedTest:
    """Compare what two schemes get right: for each seed an array [N] of the same N images.

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
