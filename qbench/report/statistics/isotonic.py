"""The non-decreasing sequence nearest to a measured one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def isotonic(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the non-decreasing rows nearest to `values` [..., K] in weighted least squares; `weights` [K], above 0.

    It is what pooling adjacent violators gives, written as `fit_i = max_{j <= i} min_{k >= i} mean(v_j, ..., v_k)`.
    Rows that do not fall anywhere are returned as they are, to the bit.

    Source: Barlow, Bartholomew, Bremner and Brunk, Statistical Inference under Order Restrictions, 1972, section 1.2.
    """
    start = np.zeros((*values.shape[:-1], 1))
    sums = np.concatenate([start, (values * weights).cumsum(axis=-1)], axis=-1)
    mass = np.concatenate([[0.0], weights.cumsum()])
    fit = np.empty_like(values)
    for i in range(values.shape[-1]):
        lowest = [
            ((sums[..., i + 1 :] - sums[..., j : j + 1]) / (mass[i + 1 :] - mass[j])).min(axis=-1) for j in range(i + 1)
        ]
        fit[..., i] = np.max(lowest, axis=0)
    kept = (np.diff(values, axis=-1) >= 0).all(axis=-1, keepdims=True)
    return np.where(kept, values, np.maximum.accumulate(fit, axis=-1))
