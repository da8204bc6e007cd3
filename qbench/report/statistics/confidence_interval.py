"""The confidence interval of an accuracy, which holds for other seeds and for other test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, expit, logit

from qbench.report.statistics.crossed import LEVEL, MIN_SEEDS, mean_over


@dataclass(frozen=True)
class ConfidenceInterval:
    """A mean accuracy and its 95 % interval, as fractions.

    Attributes:
        mean, low, high: the mean, and the interval's two ends.
        method: `crossed` (over seeds and images), `images` (over images alone: there are fewer than `MIN_SEEDS` seeds),
            or `exact` (Clopper-Pearson on the images: there is no spread, as where every prediction is right).
    """

    mean: float
    low: float
    high: float
    method: str

    @property
    def withheld(self) -> str | None:
        """Why the interval does not hold for other seeds; None where it does."""
        if self.method == "crossed":
            return None
        if self.method == "images":
            return (
                f"fewer than {MIN_SEEDS} seeds: the interval is over test images alone and says nothing of other seeds"
            )
        return "all test images alike: Clopper-Pearson's interval, over test images alone"


def accuracy_interval(predictions: Sequence[Sequence[int]], labels: Sequence[int]) -> ConfidenceInterval:
    """Return the mean accuracy of S trainings on the same N test images, with its 95 % interval.

    See `intervals` for the formula, and for what the interval covers.

    Args:
        predictions: S sequences of N predicted classes.
        labels: N true classes.

    Raises:
        ValueError: no seed, no image, or sequences of unequal length.
    """
    correct = correct_matrix(predictions, labels)
    mean = float(correct.mean())
    low, high = intervals(correct)
    no_spread = len(labels) == 1 or mean_over(correct).variance == 0
    method = "exact" if no_spread else "images" if len(correct) < MIN_SEEDS else "crossed"
    return ConfidenceInterval(mean, float(low), float(high), method)


def intervals(correct: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends [...] of the 95 % intervals of the mean accuracies of `correct` [..., S, N].

    `logit(p) ± q·√V / (p·(1 - p))`, back on the scale of accuracies; p is the mean, V its variance over seeds and
    images, q Cochran's quantile (`CrossedMean`). On the logit's scale the interval is wider towards the middle, as the
    errors' distribution is, and never leaves [0, 1]. With fewer than `MIN_SEEDS` seeds V is over images alone. Where
    every prediction is right (or every one wrong) there is no spread: the interval is Clopper-Pearson's for N (or 0) of
    N images. Its bound r gives the interval, `p - r·p` to `p + r·(1 - p)`, where all images are alike otherwise: where
    each image has one of two trainings, and for a single image.

    In simulation (logistic model; 3, 5 and 10 seeds; 360, 1,000 and 10,000 images; accuracies of 0.90, 0.97 and 0.99;
    seven mixtures of the effects of seeds and of images; 2,000 simulations each, standard error 0.5 %) it contains the
    mean over all seeds and all images in 93.0 to 97.3 % of cases, 95.4 % on average. The exception is 3 seeds, 360
    images and 0.99, where few errors are made: 97.8 to 98.8 %. Otherwise above 97.0 % are 3 seeds on up to 1,000
    images, where the images explain almost everything; at 93.0 to 93.5 % are 5 and 10 seeds that explain everything,
    with a standard deviation of 0.6 on the logit's scale. `tests/helpers/simulation.py` prints tables.

    Source: Brown, Cai and DasGupta, Statistical Science 16, 2001 (why not on the scale of accuracies).

    Args:
        correct: whether training s is right on image n.
    """
    images = correct.shape[-1]
    mean = np.asarray(correct.mean(axis=(-2, -1)))
    found = mean_over(correct) if images > 1 else None
    alike = np.ones_like(mean, dtype=np.bool_) if found is None else found.variance == 0
    inside = np.where(alike, 0.5, mean)
    half = 0.0 if found is None else found.half_width() / (inside * (1 - inside))
    # Clopper-Pearson at 0 of N: the upper bound is the tail's quantile of Beta(1, N).
    other = betaincinv(1, images, (1 + LEVEL) / 2)
    low = np.where(alike, mean - other * mean, expit(logit(inside) - half))
    high = np.where(alike, mean + other * (1 - mean), expit(logit(inside) + half))
    return low, high


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
