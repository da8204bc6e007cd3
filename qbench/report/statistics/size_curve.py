"""Accuracy over the sizes of a network, and where along it an accuracy is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from qbench.report.statistics.crossed import crossed_mean
from qbench.report.statistics.isotonic import isotonic

MIN_SIZES = 3
"""Fewer sizes give no curve."""
_TOLERANCE = 1e-9
"""Accuracies nearer than this are the same: they are means of the same predictions in another order of summing."""


@dataclass(frozen=True)
class SizeCurve:
    """The groups of one scheme that differ in size alone, from the smallest on.

    Attributes:
        name: what all of them are.
        sizes: K values of the size option, increasing, above 0.
        costs: K values above 0 of each cost, by its name.
        correct: for each size [S, N], whether each training is right on each test image.
        seeds: for each size the S seeds.
    """

    name: str
    sizes: tuple[float, ...]
    costs: Mapping[str, tuple[float, ...]]
    correct: tuple[NDArray[np.bool_], ...]
    seeds: tuple[tuple[int, ...], ...]

    @property
    def weights(self) -> NDArray[np.float64]:
        """The number of trainings of each size: what a mean counts in the fit."""
        return np.asarray([len(each) for each in self.seeds], dtype=np.float64)

    @property
    def accuracy(self) -> tuple[float, ...]:
        """Mean accuracy of each size, over seeds and images."""
        return tuple(float(each.mean()) for each in self.correct)

    @cached_property
    def fit(self) -> tuple[float, ...]:
        """The accuracies, or, where they fall somewhere, the nearest non-decreasing ones; see `isotonic`."""
        return tuple(float(each) for each in isotonic(np.asarray(self.accuracy), self.weights))

    @property
    def fitted(self) -> bool:
        """Whether the accuracies fall somewhere, so that `fit` is not what was measured."""
        return any(b < a for a, b in zip(self.accuracy, self.accuracy[1:], strict=False))


def reference_index(curve: SizeCurve) -> int:
    """Return the index of the smallest size whose accuracy is within two standard errors of the best mean accuracy.

    The error is that of the paired difference to the best size, on the seeds that both have: over seeds and images, or
    over images where there is one such seed. The best mean itself would be, in a plateau, a matter of chance, and the
    larger the reference the larger every saving looks.

    Source: after the one-standard-error rule of Breiman, Friedman, Olshen and Stone, Classification and Regression
    Trees, 1984, section 3.4.3. Sizes in a plateau predict so alike that one error of their difference is next to none.
    """
    accuracy = curve.accuracy
    best = accuracy.index(max(accuracy))
    behind = (accuracy[best] - each for each in accuracy[:best])
    near = (i for i, less in enumerate(behind) if less <= 2 * _paired_error(curve, best, i) + _TOLERANCE)
    return next(near, best)


def _paired_error(curve: SizeCurve, first: int, second: int) -> float:
    """Return the standard error of the difference of two sizes; 0 where they have no seed in common."""
    common = sorted(set(curve.seeds[first]) & set(curve.seeds[second]))
    if not common:
        return 0.0
    a, b = (curve.correct[i][[curve.seeds[i].index(seed) for seed in common]].astype(float) for i in (first, second))
    if len(common) > 1:
        return float(crossed_mean(a - b).error)
    return float((a - b).std(ddof=1)) / sqrt(a.shape[1])


def places(fit: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [D], where along the sizes 0 ... K - 1 each row of `fit` [D, K] reaches its target [D] first.

    Between two sizes accuracy is taken as linear in the logarithm of size and costs, so that place 1.5 is the geometric
    mean of the second and third size. Nothing is extrapolated: -inf where the smallest size has more than the target,
    inf where no size has as much.
    """
    reached = fit >= targets[:, None] - _TOLERANCE
    first = reached.argmax(axis=1)
    rows = np.arange(len(fit))
    above, below = fit[rows, first], fit[rows, np.maximum(first - 1, 0)]
    rise = np.where(first > 0, above - below, 1.0)
    between = first - 1 + np.clip((targets - below) / rise, 0.0, 1.0)
    at_first = np.where(above > targets + _TOLERANCE, -inf, 0.0)
    found: NDArray[np.float64] = np.where(reached.any(axis=1), np.where(first > 0, between, at_first), inf)
    return found


def bounds_at(place: NDArray[np.float64], costs: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the least and the most that a cost can be at each place: equal where it is known.

    Before the smallest size it is between 0 and that size's; where the target is not reached, between the largest
    size's and inf.
    """
    known = np.exp(np.interp(place, np.arange(len(costs)), np.log(costs)))
    least = np.where(place == -inf, 0.0, known)
    most = np.where(place == inf, inf, known)
    return least, most
