"""The confidence interval of an accuracy, which holds for other seeds and for other test images."""

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
        mean, low, high: the mean, and the interval's two ends.
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
    """Return the mean accuracy of S trainings on the same N test images, with its 95 % interval.

    Seeds and images are resampled independently. With C[s, n] = 1 where training s is right on image n, and multinomial
    counts w ~ (S; 1/S), v ~ (N; 1/N), one draw is w·C·v / (S·N); the interval reaches from the draws' 2.5 % quantile to
    their 97.5 % quantile. Three seeds of equal accuracy do not give ±0.00: the images' part of the spread remains. The
    interval is somewhat too wide in the part that neither seeds nor images explain alone; its part of the seeds is only
    as reliable as S is large.

    Two cases are treated apart. One seed says nothing of other seeds: the images alone are resampled. If every
    prediction is right (or every one wrong) there is no spread to resample: the interval is Clopper-Pearson's for N (or
    0) of N images.

    Source: Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1(2), 2007.

    Args:
        predictions: S sequences of N predicted classes.
        labels: N true classes.
        draws: number of bootstrap draws.
        seed: of the bootstrap; the same seed gives the same interval.

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
    """Return C [S, N], bool: whether training s is right on image n.

    Raises:
        ValueError: no seed, no image, or sequences of unequal length.
    """
    if not predictions or not labels:
        raise ValueError("accuracy needs at least one training and one test image")
    if any(len(row) != len(labels) for row in predictions):
        raise ValueError(f"predictions of {[len(row) for row in predictions]} images for {len(labels)} labels")
    return np.asarray(predictions) == np.asarray(labels)


def bootstrap_means(correct: NDArray[np.bool_], draws: int, seed: int) -> NDArray[np.float64]:
    """Return `draws` resampled means w·C·v / (S·N) of `correct` [S, N]; see `accuracy_interval`.

    Images that the same trainings get right are interchangeable. Counts are therefore drawn for the distinct columns of
    C, of which there are at most 2^S, and not for the N images: the distribution is the same, and 10,000 images take no
    longer than 300.
    """
    generator = np.random.default_rng(seed)
    seeds, images = correct.shape
    columns, counts = np.unique(correct, axis=1, return_counts=True)
    of_images = generator.multinomial(images, counts / images, size=draws)
    of_seeds = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws)
    means: NDArray[np.float64] = ((of_images @ columns.T) * of_seeds).sum(axis=1) / (seeds * images)
    return means
