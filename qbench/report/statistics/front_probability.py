"""How sure it is that a group is on the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DRAWS = 1_000


def front_probability(
    correct: Sequence[NDArray[np.bool_] | None],
    costs: Sequence[tuple[float | None, ...]],
    draws: int = DRAWS,
    seed: int = 0,
) -> list[float | None]:
    """Return, for each group, the share of bootstrap draws in which it is on the front of accuracy and costs.

    One draw takes N test images with replacement, the same for all groups, and of each group as many seeds as it has, the
    same for groups with equally many. Costs do not vary. A group is off the front of a draw where another one is at least as
    good in accuracy and every cost, and better in one.

    Args:
        correct: [S, N] of each group, on the same N images; None for one without.
        costs: smaller is better.
        draws, seed: of the bootstrap.
    """
    placed = [i for i, (c, k) in enumerate(zip(correct, costs, strict=True)) if c is not None and None not in k]
    answers: list[float | None] = [None] * len(correct)
    if not placed:
        return answers
    accuracy = _draws([correct[i] for i in placed], draws, seed)  # type: ignore[misc]
    cost = np.asarray([costs[i] for i in placed], dtype=np.float64)
    on_front = np.ones_like(accuracy, dtype=np.bool_)
    for mine in range(len(placed)):
        for other in np.flatnonzero((cost <= cost[mine]).all(axis=1)):
            if other == mine:
                continue
            cheaper = bool((cost[other] < cost[mine]).any())
            a, b = accuracy[other], accuracy[mine]
            on_front[mine] &= ~((a >= b) if cheaper else (a > b))
    for row, index in enumerate(placed):
        answers[index] = float(on_front[row].mean())
    return answers


def _draws(correct: Sequence[NDArray[np.bool_]], draws: int, seed: int) -> NDArray[np.float64]:
    """Return [groups, draws], the accuracy of each group in each draw."""
    generator = np.random.default_rng(seed)
    images = correct[0].shape[1]
    stacked = np.concatenate(correct).astype(np.float32)
    by_seed = np.empty((len(stacked), draws), dtype=np.float64)
    for start in range(0, draws, 100):
        width = min(100, draws - start)
        weights = generator.multinomial(images, np.full(images, 1 / images), size=width).astype(np.float32)
        by_seed[:, start : start + width] = stacked @ weights.T / images
    of_seeds: dict[int, NDArray[np.int64]] = {}
    found, begin = [], 0
    for each in correct:
        size = len(each)
        if size not in of_seeds:
            of_seeds[size] = generator.multinomial(size, np.full(size, 1 / size), size=draws)
        found.append((by_seed[begin : begin + size] * of_seeds[size].T).sum(axis=0) / size)
        begin += size
    return np.asarray(found)
