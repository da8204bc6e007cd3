"""The mean over seeds and test images, both random, and its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtridf, stdtrit

LEVEL = 0.95
"""Of confidence intervals; the level of significance beside it is `significance.SIGNIFICANCE`."""
MIN_SEEDS = 3
"""Fewer say too little of other seeds: what holds for other seeds is withheld."""
_HALVINGS = 45  # of a bracket of log p, at most 700 wide: to 2e-11


@dataclass(frozen=True)
class CrossedMean:
    """The mean of Y [..., S, N] over S seeds and N images that stand for all seeds and all images.

    The model is `Y[s, n] = μ + a_s + b_n + e_sn` with random a, b and e. With the mean squares MS_a (S - 1 degrees of
    freedom), MS_b (N - 1) and MS_e ((S - 1)(N - 1)), the mean's variance is estimated by `V = V_a + V_b`,
    `V_a = MS_a / (S·N)` and `V_b = max(MS_b - MS_e, 0) / (S·N)`. Student's quantile for V is Cochran's: the mean of the
    quantiles with S - 1 and with N - 1 degrees of freedom, weighted by V_a and V_b. Satterthwaite's (or Hillis')
    degrees of freedom take an estimated V_a of two degrees at its word; in simulation their intervals of three seeds
    cover less than 92 %, and tests of a difference are wrong in up to 8 % of cases at 5 %.

    Where all seeds have the same mean, MS_a = 0 is mostly a chance of small counts. MS_e, which it equals in
    expectation if seeds do not differ, stands for it; it has more degrees of freedom than MS_b, and counts with V_b.

    Sources: Obuchowski and Rockette, Communications in Statistics - Simulation 24, 1995 (variance); Cochran, Biometrics
    20, 1964 (quantile); Hillis, Statistics in Medicine 26, 2007 (the degrees of freedom that were not taken).

    Attributes:
        mean: of all S·N values; this and all that follow are arrays of the leading axes of Y.
        by_seeds, by_images: V_a and V_b.
        seeds, images: S and N.
        of_seeds, of_images, of_both: the estimated variances of a, b and e; none below 0.
    """

    mean: NDArray[np.float64]
    by_seeds: NDArray[np.float64]
    by_images: NDArray[np.float64]
    seeds: int
    images: int
    of_seeds: NDArray[np.float64]
    of_images: NDArray[np.float64]
    of_both: NDArray[np.float64]

    @property
    def variance(self) -> NDArray[np.float64]:
        """V, of the mean."""
        return self.by_seeds + self.by_images

    @property
    def error(self) -> NDArray[np.float64]:
        """The standard error of the mean."""
        return np.sqrt(self.variance)

    @property
    def degrees(self) -> NDArray[np.float64]:
        """The degrees of freedom with which Student's distribution has the quantile of a 95 % interval."""
        return np.asarray(stdtridf((1 + LEVEL) / 2, self.quantile(np.asarray(1 - LEVEL))))

    def quantile(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return Cochran's quantile: what `|mean| / error` exceeds with probability p if μ = 0."""
        share = self.by_seeds / np.where(self.variance > 0, self.variance, 1.0)
        of_images = -stdtrit(float(self.images - 1), p / 2)
        if self.seeds == 1:
            return np.asarray(of_images)
        return np.asarray(share * -stdtrit(float(self.seeds - 1), p / 2) + (1 - share) * of_images)

    def half_width(self) -> NDArray[np.float64]:
        """Return the quantile times the error: half of the 95 % interval."""
        return self.quantile(np.asarray(1 - LEVEL)) * self.error

    def p_value(self, correction: NDArray[np.float64] | float = 0.0) -> NDArray[np.float64]:
        """Return the two-sided p-value of μ = 0: the p whose quantile is `(|mean| - correction) / error`.

        1 where the correction leaves nothing; not defined without a variance.
        """
        excess = np.maximum(np.abs(self.mean) - correction, 0.0)
        statistic = excess / np.where(self.variance > 0, self.error, 1.0)
        # Between the p-values with the two numbers of degrees lies the one with their mixture.
        low = np.log(np.maximum(2 * stdtr(float(self.images - 1), -statistic), 1e-300))
        high = low if self.seeds == 1 else np.log(2 * stdtr(float(self.seeds - 1), -statistic))
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            too_likely = self.quantile(np.exp(middle)) < statistic
            low, high = np.where(too_likely, low, middle), np.where(too_likely, middle, high)
        return np.asarray(np.exp((low + high) / 2))

    def at(self, seeds: int, images: int) -> CrossedMean:
        """Return what is to be expected of as many seeds and images, if the variances are those estimated here."""
        # What is left of V_a and V_b without the variances of a and b is of e.
        of_both = self.seeds * self.images / (seeds * images)
        return replace(
            self,
            by_seeds=self.of_seeds / seeds + (self.by_seeds - self.of_seeds / self.seeds) * of_both,
            by_images=self.of_images / images + (self.by_images - self.of_images / self.images) * of_both,
            seeds=seeds,
            images=images,
        )


def crossed_mean(values: NDArray[np.generic]) -> CrossedMean:
    """Return the mean of `values` [..., S, N], S >= 2, N >= 2, with its variance; see `CrossedMean`.

    Raises:
        ValueError: fewer than two seeds or images.
    """
    seeds, images = values.shape[-2:]
    if seeds < 2 or images < 2:
        raise ValueError(f"seeds and images can be told apart from two of each on, got {seeds} and {images}")
    by_seed, by_image = values.sum(axis=-1, dtype=np.float64), values.sum(axis=-2, dtype=np.float64)
    total = by_seed.sum(axis=-1)
    squares = np.square(values, dtype=np.float64).sum(axis=(-2, -1))
    # Sums of squares from sums: for whole numbers nothing rounds but the divisions.
    of_mean = total**2 / (seeds * images)
    ss_a = np.maximum((by_seed**2).sum(axis=-1) / images - of_mean, 0.0)
    ss_b = np.maximum((by_image**2).sum(axis=-1) / seeds - of_mean, 0.0)
    ss_e = np.maximum(squares - of_mean - ss_a - ss_b, 0.0)
    ms_b, ms_e = ss_b / (images - 1), ss_e / ((seeds - 1) * (images - 1))
    equal = np.ptp(by_seed, axis=-1) == 0
    ms_a = np.where(equal, 0.0, ss_a / (seeds - 1))
    beyond = np.maximum(ms_b - ms_e, 0.0)
    size = seeds * images
    return CrossedMean(
        total / size, ms_a / size, (beyond + np.where(equal, ms_e, 0.0)) / size, seeds, images,
        np.maximum(ms_a - ms_e, 0.0) / images, beyond / seeds, ms_e,
    )  # fmt: skip


def mean_over_images(values: NDArray[np.generic]) -> CrossedMean:
    """Return the mean of `values` [..., S, N], N >= 2, over these S seeds and over images that stand for all.

    Its variance is that of the images' means over the seeds, divided by N, with N - 1 degrees of freedom.

    Raises:
        ValueError: fewer than two images.
    """
    seeds, images = values.shape[-2:]
    if images < 2:
        raise ValueError("the spread over images needs at least two")
    each = values.mean(axis=-2, dtype=np.float64)
    variance = each.var(axis=-1, ddof=1)
    none = np.zeros_like(variance)
    return CrossedMean(each.mean(axis=-1), none, variance / images, seeds, images, none, variance, none)


def mean_over(values: NDArray[np.generic]) -> CrossedMean:
    """Return `crossed_mean` of at least `MIN_SEEDS` seeds, of fewer `mean_over_images`."""
    return crossed_mean(values) if values.shape[-2] >= MIN_SEEDS else mean_over_images(values)
