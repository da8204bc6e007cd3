"""What schemes cost at the same accuracy, read off their curves of accuracy over size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite

import numpy as np
from numpy.typing import NDArray

from qbench.report.statistics.isotonic import isotonic
from qbench.report.statistics.joint_bootstrap import joint_draws
from qbench.report.statistics.size_curve import SizeCurve, bounds_at, places

DRAWS = 4_000
TAIL = 0.025
"""The share of draws beyond each end of an interval."""


@dataclass(frozen=True)
class Target:
    """An accuracy to reach, as a fraction.

    Attributes:
        accuracy: the value.
        below: how far below the reference's accuracy it is, so that it moves with it in the bootstrap; None for a
            fixed one.
    """

    accuracy: float
    below: float | None = None


@dataclass(frozen=True)
class Reading:
    """A value read off a curve, with its 95 % interval.

    Attributes:
        least, most: what is known of the value: equal where the target is reached between measured sizes; `least` is
            None where it is reached before the smallest size, `most` where no size reaches it.
        low, high: the interval's ends; None for an open one, because more than 2.5 % of the draws lie beyond all sizes.
    """

    least: float | None
    most: float | None
    low: float | None
    high: float | None

    @property
    def value(self) -> float | None:
        """The value, where it is known."""
        return self.least if self.least == self.most else None


@dataclass(frozen=True)
class AtAccuracy:
    """What one scheme costs at one accuracy.

    Attributes:
        target: the accuracy.
        curve: the scheme's curve.
        place: where along the sizes it is reached (`places`); -inf before the smallest, inf nowhere.
        size: the size option, between measured ones as costs are.
        costs: by the cost's name.
        ratios: by the cost's name, the reference's cost at this target divided by this scheme's; empty without a
            reference.
        not_reached: share of the draws in which no size reaches the target.
        before_smallest: share of the draws in which the smallest size has more.
    """

    target: Target
    curve: SizeCurve
    place: float
    size: Reading
    costs: Mapping[str, Reading]
    ratios: Mapping[str, Reading]
    not_reached: float
    before_smallest: float


def equal_accuracy(
    curves: Sequence[SizeCurve],
    targets: Sequence[Target],
    reference: int | None = None,
    at: int = 0,
    draws: int = DRAWS,
    seed: int = 0,
) -> list[AtAccuracy]:
    """Return, for each target and each curve in turn, what reaching the target costs.

    Intervals are percentiles of a bootstrap that resamples seeds and test images jointly for all sizes and schemes
    (`joint_draws`), fits each curve anew, and reads it at the draw's own target: the reference's accuracy in the
    draw, less `Target.below`. Ratios are formed within a draw. A draw in which a target lies beyond the sizes bounds
    the value on one side alone, and the interval covers all that it could be.

    Args:
        curves: on the same test images.
        targets: the accuracies.
        reference, at: index of the reference's curve, and of its size that targets with `below` are relative to.
        draws, seed: of the bootstrap.
    """
    fits = _fits_of_draws(curves, draws, seed)
    found = []
    for target in targets:
        drawn = np.full(draws, target.accuracy)
        if target.below is not None and reference is not None:
            drawn = fits[reference][:, at] - target.below
        where = [
            (places(np.asarray([curve.fit]), np.asarray([target.accuracy])), places(fit, drawn))
            for curve, fit in zip(curves, fits, strict=True)
        ]
        for index, curve in enumerate(curves):
            base = None if reference is None else (curves[reference], where[reference], index == reference)
            found.append(_at(target, curve, where[index], base))
    return found


_Places = tuple[NDArray[np.float64], NDArray[np.float64]]
_Bounds = tuple[NDArray[np.float64], NDArray[np.float64]]


def _fits_of_draws(curves: Sequence[SizeCurve], draws: int, seed: int) -> list[NDArray[np.float64]]:
    """Return for each curve [draws, K], its fit in each draw."""
    correct = [each for curve in curves for each in curve.correct]
    seeds = [each for curve in curves for each in curve.seeds]
    accuracy = joint_draws(correct, seeds, draws, seed)
    found, begin = [], 0
    for curve in curves:
        found.append(isotonic(accuracy[begin : begin + len(curve.sizes)].T, curve.weights))
        begin += len(curve.sizes)
    return found


def _at(target: Target, curve: SizeCurve, where: _Places, base: tuple[SizeCurve, _Places, bool] | None) -> AtAccuracy:
    """Return a curve's reading; `where` and `base` hold the place on the curve, and its places in the draws."""
    point, drawn = where
    readings = {name: _reading(*(bounds_at(each, cost) for each in where)) for name, cost in curve.costs.items()}
    ratios = {}
    if base is not None:
        theirs, their_places, same = base
        for name in (name for name in curve.costs if name in theirs.costs):
            pairs = zip(their_places, where, strict=True)
            both = [
                _ratio(bounds_at(a, theirs.costs[name]), bounds_at(b, curve.costs[name]), same, b) for a, b in pairs
            ]
            ratios[name] = _reading(*both)
    return AtAccuracy(
        target, curve, float(point[0]), _reading(*(bounds_at(each, curve.sizes) for each in where)), readings, ratios,
        float((drawn == inf).mean()), float((drawn == -inf).mean()),
    )  # fmt: skip


def _ratio(theirs: _Bounds, mine: _Bounds, same: bool, place: NDArray[np.float64]) -> _Bounds:
    """Return the least and the most of `theirs / mine`; the reference divided by itself is 1 wherever it is known."""
    if same:
        known = np.isfinite(place)
        return np.where(known, 1.0, 0.0), np.where(known, 1.0, inf)
    with np.errstate(divide="ignore"):
        return theirs[0] / mine[1], theirs[1] / mine[0]


def _reading(point: _Bounds, drawn: _Bounds) -> Reading:
    """Return the value's bounds, and the percentiles of the draws' bounds: of the lower ones below, the upper above."""
    low = np.quantile(drawn[0], TAIL, method="inverted_cdf")
    high = np.quantile(drawn[1], 1 - TAIL, method="inverted_cdf")
    ends = (point[0][0], point[1][0], low, high)
    return Reading(*(float(end) if isfinite(end) and end > 0 else None for end in ends))
