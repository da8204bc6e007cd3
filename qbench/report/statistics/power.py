"""How surely a comparison finds a difference."""

from __future__ import annotations

import numpy as np
from scipy.special import nctdtr, nctdtrinc, stdtridf

from qbench.report.statistics.crossed import LEVEL, CrossedMean

_ALPHA = np.asarray(1 - LEVEL)
_SHARE = (1 + LEVEL) / 2


def power(mean: CrossedMean, effect: float) -> float:
    """Return the probability that the test at 5 %, two-sided, finds `effect` > 0, in its own direction.

    With q the test's quantile and f its degrees of freedom: `1 - F(q; f, effect / √V)`, F the distribution of Student's
    noncentral t. Finding the opposite is left out; where the power is 80 % its probability is below 1e-4. 0 for an
    effect that is not above 0.
    """
    if effect <= 0:
        return 0.0
    quantile = mean.quantile(_ALPHA)
    return 1 - float(nctdtr(stdtridf(_SHARE, quantile), effect / mean.error, quantile))


def detectable_effect(mean: CrossedMean, wanted: float) -> float:
    """Return the effect that the test at 5 %, two-sided, finds with the probability `wanted`: `power`'s inverse."""
    return float(nctdtrinc(mean.degrees, 1 - wanted, mean.quantile(_ALPHA)) * mean.error)
