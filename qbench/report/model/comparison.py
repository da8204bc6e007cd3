"""Two groups held against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from qbench.report.model.group import Group
from qbench.report.model.reference import same_images
from qbench.report.statistics.difference import Difference, difference
from qbench.report.statistics.holm import holm

LEVEL = 0.05
MAX_GROUPS = 30
"""With more groups each one is compared with its reference alone: a correction over all pairs would hide everything."""


@dataclass(frozen=True)
class Comparison:
    """Two groups on the same test images and seeds.

    Attributes:
        first, second: their names.
        difference: accuracy of the first minus that of the second; None where they cannot be paired.
        withheld: why there is none.
        p_adjusted: `difference.p` after Holm's correction over all comparisons of the report.
    """

    first: str
    second: str
    difference: Difference | None
    withheld: str | None = None
    p_adjusted: float | None = None

    @property
    def distinguishable(self) -> bool | None:
        """Whether the adjusted p-value is at most 0.05; None without one."""
        return None if self.p_adjusted is None else self.p_adjusted <= LEVEL


def compare(first: Group, second: Group) -> Comparison:
    """Compare two groups; `p_adjusted` is not corrected yet."""
    if not first.trials or not second.trials:
        lacking = first if not first.trials else second
        return Comparison(first.name, second.name, None, f"no trial of {lacking.name} is done")
    if not same_images(first, second):
        return Comparison(first.name, second.name, None, "they were tested on different images")
    seeds = sorted(set(first.seeds) & set(second.seeds))
    if not seeds:
        return Comparison(first.name, second.name, None, "they have no seed in common")
    found = difference(first.correct(seeds), second.correct(seeds))
    return Comparison(first.name, second.name, found, None, found.p)


def compare_all(groups: Sequence[Group], references: Sequence[Group | None]) -> tuple[Comparison, ...]:
    """Return all pairs of groups, corrected for their number; of more than `MAX_GROUPS` those with the references."""
    if len(groups) <= MAX_GROUPS:
        found = [compare(first, second) for first, second in combinations(groups, 2)]
    else:
        pairs = zip(groups, references, strict=True)
        found = [compare(group, reference) for group, reference in pairs if reference is not None]
    adjusted = holm([each.p_adjusted for each in found])
    return tuple(replace(each, p_adjusted=p) for each, p in zip(found, adjusted, strict=True))
