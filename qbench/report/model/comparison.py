"""Two groups held against each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from qbench.report.model.group import Group
from qbench.report.model.images import same_images
from qbench.report.statistics.difference import Difference, difference
from qbench.report.statistics.holm import holm
from qbench.report.statistics.significance import SIGNIFICANCE

MAX_GROUPS = 30
"""With more groups each one is compared with its reference alone: a correction over all pairs would hide everything."""


@dataclass(frozen=True)
class Comparison:
    """Two groups on the same test images and seeds.

    Attributes:
        first, second: their names.
        difference: accuracy of the first minus that of the second; None where they cannot be paired.
        withheld: why there is none.
        p_adjusted: `difference.p` after Holm's correction over all comparisons of the report that have a p-value. Two
            groups that predict the same count as well, with p = 1: they are shown as a comparison like every other.
    """

    first: str
    second: str
    difference: Difference | None
    withheld: str | None = None
    p_adjusted: float | None = None

    @property
    def distinguishable(self) -> bool | None:
        """Whether the adjusted p-value is at most `SIGNIFICANCE`; None without one."""
        return None if self.p_adjusted is None else self.p_adjusted <= SIGNIFICANCE


def compare(first: Group, second: Group) -> Comparison:
    """Compare two groups; `p_adjusted` is not corrected yet."""
    return _compare(first, second, _Correct())


def compare_all(groups: Sequence[Group], references: Sequence[Group | None]) -> tuple[Comparison, ...]:
    """Return all pairs of groups, corrected for their number; of more than `MAX_GROUPS` those with the references."""
    pairs: Iterable[tuple[Group, Group | None]] = (
        combinations(groups, 2) if len(groups) <= MAX_GROUPS else zip(groups, references, strict=True)
    )
    correct = _Correct()
    found = [_compare(first, second, correct) for first, second in pairs if second is not None]
    adjusted = holm([each.p_adjusted for each in found])
    return tuple(replace(each, p_adjusted=p) for each, p in zip(found, adjusted, strict=True))


class _Correct(dict[str, NDArray[np.bool_]]):
    """What each group predicts right, made once for all its comparisons, by the group's name."""

    def of(self, group: Group, seeds: Sequence[int]) -> NDArray[np.bool_]:
        if group.name not in self:
            self[group.name] = group.correct()
        return self[group.name][[group.seeds.index(seed) for seed in seeds]]


def _compare(first: Group, second: Group, correct: _Correct) -> Comparison:
    if not first.trials or not second.trials:
        lacking = first if not first.trials else second
        return Comparison(first.name, second.name, None, f"no trial of {lacking.name} is done")
    if not same_images(first, second):
        return Comparison(first.name, second.name, None, "they were tested on different images")
    seeds = sorted(set(first.seeds) & set(second.seeds))
    if not seeds:
        return Comparison(first.name, second.name, None, "they have no seed in common")
    found = difference(correct.of(first, seeds), correct.of(second, seeds))
    return Comparison(first.name, second.name, found, None, found.p)
