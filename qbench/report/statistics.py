"""Accuracy over seeds and test images, with an interval that holds for other seeds and other images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

LEVEL = 0.95
DRAWS = 20_000


@dataclass(frozen=True)
class ConfidenceInterval:
    """A mean accuracy and its 95 % interval, as fractions.

    Attributes:
        method: `crossed` (bootstrap over seeds and images), `images` (bootstrap over images: there is one seed), or
            `exact` (Clopper-Pearson on the images: every prediction is right, or every one wrong).
    """

    mean: float
    low: float
    high: float
    method: str


def accuracy_interval(
    predictions: Sequence[Sequence[int]], labels: Sequence[int], draws: int = DRAWS, seed: int = 0
) -> ConfidenceInterval:
    """Mean accuracy of S trainings on the same N test images, with its 95 % interval.

    Seeds and images are resampled independently (the pigeonhole bootstrap of Owen, *The pigeonhole bootstrap*, Annals
    of Applied Statistics 1(2), 2007): with C[s, n] = 1 where training s is right on image n, and multinomial counts
    w ~ (S; 1/S), v ~ (N; 1/N), one draw is w·C·v / (S·N). The interval is the draws' 2.5 % and 97.5 % quantiles. Equal
    seeds leave the images' part: three equal accuracies do not mean ±0.00. Owen shows it mildly conservative in the
    part that seeds and images do not explain; the part of the seeds is as sure as S is large, no more.

    One seed says nothing of other seeds: then the images alone are resampled. A matrix of ones (or of zeros) has no
    spread to resample: then it is Clopper-Pearson for N of N (or 0 of N) images.

    Args:
        predictions: S sequences of N predicted classes.
        labels: N true classes.
        draws, seed: of the bootstrap; the same values give the same interval.

    Raises:
        ValueError: no seed, no image, or sequences of unequal length.
    """
    correct = correct_matrix(predictions, labels)
    mean = float(correct.mean())
    images = correct.shape[1]
    if mean in (0.0, 1.0):
        tail = (1 - LEVEL) / 2
        # Clopper-Pearson at k = N: the lower bound is the tail's quantile of Beta(N, 1); at k = 0 its mirror image.
        bound = float(beta.ppf(tail, images, 1))
        return ConfidenceInterval(mean, bound if mean else 0.0, 1.0 if mean else 1 - bound, "exact")
    means = bootstrap_means(correct, draws, seed)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return ConfidenceInterval(mean, float(low), float(high), "crossed" if len(correct) > 1 else "images")


def correct_matrix(predictions: Sequence[Sequence[int]], labels: Sequence[int]) -> NDArray[np.bool_]:
    """C[s, n]: whether training s is right on image n.

    Raises:
        ValueError: no seed, no image, or sequences of unequal length.
    """
    if not predictions or not labels:
        raise ValueError("accuracy needs at least one training and one test image")
    if any(len(row) != len(labels) for row in predictions):
        raise ValueError(f"predictions of {[len(row) for row in predictions]} images for {len(labels)} labels")
    return np.asarray(predictions) == np.asarray(labels)


def bootstrap_means(correct: NDArray[np.bool_], draws: int, seed: int) -> NDArray[np.float64]:
    """`draws` resampled means w·C·v / (S·N) of `correct` [S, N]; see `accuracy_interval`.

    Images that the same trainings get right are exchangeable, so counts are drawn for the distinct columns of C (at
    most 2^S of them) rather than for the N images: the same distribution, in the same time for 10,000 images as for
    300.
    """
    generator = np.random.default_rng(seed)
    seeds, images = correct.shape
    columns, counts = np.unique(correct, axis=1, return_counts=True)
    of_images = generator.multinomial(images, counts / images, size=draws)
    of_seeds = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws)
    means: NDArray[np.float64] = ((of_images @ columns.T) * of_seeds).sum(axis=1) / (seeds * images)
    return means
