"""The mean over seeds and test images, both random, and its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student


@dataclass(frozen=True)
class CrossedMean:
    """The mean of Y [S, N] over S seeds and N images that stand for all seeds and all images.

    The model is `Y[s, n] = μ + a_s + b_n + e_sn` with random a, b and e. With the mean squares MS_a (S - 1 degrees of
    freedom), MS_b (N - 1) and MS_e ((S - 1)(N - 1)), the mean's variance is estimated by
    `V = (MS_a + max(MS_b - MS_e, 0)) / (S·N)`, and its degrees of freedom by `(S·N·V)² / (MS_a² / (S - 1))`.

    Source: Hillis, Statistics in Medicine 26, 2007 (degrees of freedom); Obuchowski and Rockette, 1995.

    Attributes:
        mean: of all S·N values.
        variance: V, of the mean.
        degrees: of freedom.
        seeds, images: S and N.
        of_seeds, of_images, of_both: the estimated variances of a, b and e; none below 0.
    """

    mean: float
    variance: float
    degrees: float
    seeds: int
    images: int
    of_seeds: float
    of_images: float
    of_both: float

    @property
    def error(self) -> float:
        """The standard error of the mean."""
        return sqrt(self.variance)

    def half_width(self, level: float = 0.95) -> float:
        """Return `t·√V`, t the quantile of Student's distribution for a two-sided interval of `level`."""
        return float(student.ppf((1 + level) / 2, self.degrees)) * self.error if self.variance else 0.0

    def p_value(self) -> float:
        """Return the two-sided p-value of the hypothesis that the mean is 0; 1 where mean and variance are 0."""
        if self.variance == 0:
            return 1.0 if self.mean == 0 else 0.0
        return float(2 * student.sf(abs(self.mean) / self.error, self.degrees))


def crossed_mean(values: NDArray[np.float64]) -> CrossedMean:
    """Return the mean of `values` [S, N], S >= 2, N >= 2, with its variance; see `CrossedMean`.

    Raises:
        ValueError: fewer than two seeds or images.
    """
    seeds, images = values.shape
    if seeds < 2 or images < 2:
        raise ValueError(f"seeds and images can be told apart from two of each on, got {seeds} and {images}")
    mean = float(values.mean())
    by_seed, by_image = values.mean(axis=1), values.mean(axis=0)
    ms_a = images * float(((by_seed - mean) ** 2).sum()) / (seeds - 1)
    ms_b = seeds * float(((by_image - mean) ** 2).sum()) / (images - 1)
    rest = values - by_seed[:, None] - by_image[None, :] + mean
    ms_e = float((rest**2).sum()) / ((seeds - 1) * (images - 1))
    total = ms_a + max(ms_b - ms_e, 0.0)
    degrees = total**2 / (ms_a**2 / (seeds - 1)) if ms_a > 0 else inf
    return CrossedMean(
        mean, total / (seeds * images), degrees, seeds, images,
        max(ms_a - ms_e, 0.0) / images, max(ms_b - ms_e, 0.0) / seeds, ms_e,
    )  # fmt: skip
