"""How sure it is that a group is on the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qbench.report.statistics.joint_bootstrap import joint_draws

DRAWS = 1_000
_DECIMALS = 12  # equal accuracies of different rows differ by rounding alone, 1e-16


def front_probability(
    correct: Sequence[NDArray[np.bool_] | None],
    costs: Sequence[tuple[float | None, ...]],
    seeds: Sequence[Sequence[int]],
    draws: int = DRAWS,
    seed: int = 0,
) -> list[float | None]:
    """Return, for each group, the share of bootstrap draws in which it is on the front of accuracy and costs.

    A draw is `joint_draws`': the same test images for all groups, and the same seeds for groups with the same seeds,
    because these have initial weights and batches in common, and some share their trainings altogether: drawn apart,
    one training would beat itself. Costs do not vary. A group is off the front of a draw where another one is at least
    as good in accuracy and every cost, and better in one; groups equal in all are on it together.

    Args:
        correct: [S, N] of each group, on the same N images; None for one without.
        costs: smaller is better.
        seeds: of each group, a seed for each of its S rows.
        draws, seed: of the bootstrap.

    Returns:
        A share for each group; None for one without predictions or with a missing cost, which keeps nobody off.
    """
    cases = zip(correct, costs, seeds, strict=True)
    placed = {i: (c, k, s) for i, (c, k, s) in enumerate(cases) if c is not None and None not in k}
    if not placed:
        return [None] * len(correct)
    accuracy = joint_draws([c for c, _, _ in placed.values()], [s for _, _, s in placed.values()], draws, seed)
    cost = np.asarray([k for _, k, _ in placed.values()], dtype=np.float64)
    shares = _on_front(np.round(accuracy, _DECIMALS), cost).mean(axis=1)
    of_group = dict(zip(placed, shares, strict=True))
    return [float(of_group[i]) if i in of_group else None for i in range(len(correct))]


def _on_front(accuracy: NDArray[np.float64], cost: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return [groups, draws], whether no other group beats this one; accuracy [groups, draws], cost [groups, K]."""
    on_front = np.ones_like(accuracy, dtype=np.bool_)
    for mine in range(len(accuracy)):
        for other in np.flatnonzero((cost <= cost[mine]).all(axis=1)):
            if other == mine:
                continue
            cheaper = bool((cost[other] < cost[mine]).any())
            on_front[mine] &= accuracy[other] < accuracy[mine] if cheaper else accuracy[other] <= accuracy[mine]
    return on_front
