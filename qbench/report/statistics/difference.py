"""The difference of two groups' accuracies on the same test images and seeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qbench.report.statistics.crossed import LEVEL, MIN_SEEDS, CrossedMean, mean_over
from qbench.report.statistics.power import detectable_effect, power
from qbench.report.statistics.significance import paired_test

POWER = 0.8
MAX_SEEDS = 10_000
MAX_IMAGES = 100_000_000


@dataclass(frozen=True)
class Difference:
    """Accuracy of the first group minus that of the second, as fractions, from pairs of trainings with equal seeds.

    Attributes:
        mean: the difference.
        low, high: its 95 % interval.
        over: what the interval holds for: `seeds and images`; `images`, with fewer than `MIN_SEEDS` pairs, where the
            interval over seeds is withheld; `exact`, where the difference is the same on every image: over images.
        p: two-sided, of the hypothesis of no difference, over what the interval is over; at most 0.05 exactly where the
            interval leaves out 0.
        p_seeds: `paired_t` over the seeds, for these images; None with fewer than two pairs or no spread.
        p_images: the smallest of the seeds' p-values of McNemar's exact test, times the number of seeds (Bonferroni):
            whether any two of these trainings differ on other images.
        seeds, images: numbers of pairs and of test images.
        detectable: the smallest difference that a comparison of this size and spread finds in 80 % of cases at 5 %.
            This and the next two are None unless the interval is over seeds and images.
        seeds_needed: how many seeds (`MIN_SEEDS` or more) would find a difference of this size in 80 % of cases, on as
            many images; None where `MAX_SEEDS` would not, because the images are too few, and for a difference of 0.
        images_needed: how many test images would, with as many seeds; None where `MAX_IMAGES` would not.
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
    images_needed: int | None = None

    @property
    def withheld(self) -> str | None:
        """Why the interval does not hold for other seeds; None where it does."""
        return {
            "images": f"fewer than {MIN_SEEDS} seeds in common: over test images alone, for these trainings",
            "exact": "the same difference on every image: an exact bound over test images alone, for these trainings",
        }.get(self.over)


def difference(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Difference:
    """Compare what two groups predict right: `first`, `second` [S, N], row s of both with the same seed.

    With `Y[s, n]` the first's right (1 or 0) minus the second's, the interval is `mean ± (q·√V + c)`, and p belongs to
    `(|mean| - c) / √V`, with V and q of `CrossedMean` (with fewer than `MIN_SEEDS` pairs: over images alone) and
    Edwards' correction for continuity, which counts as one image in which the groups differ,
    `c = Σ_n Y_n² / Σ_n |Y_n| / (S·N)` with Y_n the sum over the seeds: without it five images, all in one direction,
    would be significant (p = 0.026, McNemar's exact 0.0625).

    In simulation with no difference at most 5.5 % of p-values are at or below 0.05, for 3 to 10 seeds, 360 to 10,000
    images and accuracies of 0.90 to 0.99, seeds and images of small and of large effect; mostly about 4 %.

    Where all images have the same difference there is no spread. The interval is then as far as the mean could move if
    a share r of images were as different as can be: `mean ± r·(1 + |mean|)`, with Clopper-Pearson's bound for 0 of N,
    `r = 1 - 0.025^(1/N)`, and `p = min(1, 2·(1 + |mean|)^-N)`, which for a mean of ±1 is McNemar's exact test.

    Source of c: Edwards, Psychometrika 13, 1948.

    Raises:
        ValueError: no seed, no image, or unequal shapes.
    """
    if first.shape != second.shape or 0 in first.shape:
        raise ValueError(f"expected two equal shapes [seeds, images], got {first.shape} and {second.shape}")
    deltas = first.astype(np.int8) - second.astype(np.int8)
    tests = paired_test(list(first), list(second))
    p_images = min(tests.p_images, tests.p_images_against)
    seeds, images = deltas.shape
    found = mean_over(deltas) if images > 1 else None
    if found is None or found.variance == 0:
        return Difference(*_exact(deltas), tests.p_seeds, p_images, seeds, images)
    unit = float(correction(deltas))
    mean, half = float(found.mean), float(found.half_width()) + unit
    over = "seeds and images" if seeds >= MIN_SEEDS else "images"
    needs = _needs(found, unit) if seeds >= MIN_SEEDS else (None, None, None)
    low, high = max(mean - half, -1.0), min(mean + half, 1.0)
    return Difference(mean, low, high, over, float(found.p_value(unit)), tests.p_seeds, p_images, seeds, images, *needs)


def correction(deltas: NDArray[np.int8]) -> NDArray[np.float64]:
    """Return the correction for continuity [...] of `deltas` [..., S, N]: by how much one image moves the mean."""
    by_image = deltas.sum(axis=-2, dtype=np.float64)
    moved = np.abs(by_image).sum(axis=-1)
    size = deltas.shape[-2] * deltas.shape[-1]
    return np.asarray((by_image**2).sum(axis=-1) / np.where(moved > 0, moved, 1.0) / size)


def _exact(deltas: NDArray[np.int8]) -> tuple[float, float, float, str, float]:
    """Return mean, interval, `exact` and p of a difference that is the same on every image; see `difference`."""
    images, mean = deltas.shape[1], float(deltas.mean())
    farthest = 1 + abs(mean)
    half = farthest * (1 - ((1 - LEVEL) / 2) ** (1 / images))
    return mean, max(mean - half, -1.0), min(mean + half, 1.0), "exact", min(1.0, 2 * farthest**-images)


def _needs(found: CrossedMean, unit: float) -> tuple[float, int | None, int | None]:
    """Return `detectable`, `seeds_needed` and `images_needed`."""
    size = abs(float(found.mean))

    def with_seeds(count: int) -> bool:
        return power(found.at(count, found.images), size - unit) >= POWER

    def with_images(count: int) -> bool:
        return power(found.at(found.seeds, count), size - unit * found.images / count) >= POWER

    return (
        unit + detectable_effect(found, POWER),
        _smallest(with_seeds, MIN_SEEDS, found.seeds, MAX_SEEDS) if size else None,
        _smallest(with_images, 2, found.images, MAX_IMAGES) if size else None,
    )


def _smallest(enough: Callable[[int], bool], low: int, near: int, high: int) -> int | None:
    """Return the smallest number from `low` to `high` that is enough, sought from `near`; None if `high` is not.

    A number above one that is enough is taken to be enough.
    """
    if not enough(high):
        return None
    while near < high and not enough(near):
        low, near = near + 1, 2 * near
    high = min(near, high)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
