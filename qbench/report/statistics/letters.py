"""The compact letter display: groups that share a letter are not distinguishable."""

from __future__ import annotations

from collections.abc import Collection
from string import ascii_lowercase


def letters(count: int, distinguishable: Collection[tuple[int, int]]) -> list[str]:
    """Return the letters of `count` groups; two share one exactly if their pair is not in `distinguishable`.

    A letter is a set of groups of which no two are distinguishable. From the first group on, each pair that is not
    distinguishable and has no letter in common yet gets one, which every further group joins that is not
    distinguishable from any of its groups; a letter that others make superfluous goes. Insert-and-absorb (Piepho) finds
    *all* such sets that cannot grow, of which 30 groups can have 59,049; these are some of them, at most one a pair.

    Source: Piepho, An algorithm for a letter-based representation of all-pairwise comparisons, JCGS 13, 2004; Gramm et
    al., Computational Statistics & Data Analysis 52, 2007 (letters as a cover by cliques).

    Args:
        count: of groups; letters are given in their order, so sort the groups from the best.
        distinguishable: pairs (i, j) of indices, in either order.
    """
    apart = {frozenset(pair) for pair in distinguishable}
    alike = [{j for j in range(count) if frozenset((i, j)) not in apart} for i in range(count)]  # a group itself, too
    columns: list[frozenset[int]] = []
    for first in range(count):
        for second in sorted(j for j in alike[first] if j >= first):
            if not any(first in column and second in column for column in columns):
                columns.append(_grown(first, second, alike))
    columns = sorted(_without_superfluous(columns), key=sorted)
    return ["".join(_name(index) for index, column in enumerate(columns) if group in column) for group in range(count)]


def _grown(first: int, second: int, alike: list[set[int]]) -> frozenset[int]:
    """Return the two groups, and others that are alike to all taken: first the nearest after `first`."""
    column = {first, second}
    candidates = alike[first] & alike[second]
    while candidates := candidates - column:
        taken = min(candidates, key=lambda group: (group < first, abs(group - first)))
        column.add(taken)
        candidates = candidates & alike[taken]
    return frozenset(column)


def _without_superfluous(columns: list[frozenset[int]]) -> list[frozenset[int]]:
    """Return the columns without those whose every pair (every group, of a lone one) others have, from the last on."""
    pairs = [{(a, b) for a in column for b in column} for column in columns]
    held: dict[tuple[int, int], int] = {}
    for pair in (pair for each in pairs for pair in each):
        held[pair] = held.get(pair, 0) + 1
    kept = []
    for column, own in reversed(list(zip(columns, pairs, strict=True))):
        if all(held[pair] > 1 for pair in own):
            for pair in own:
                held[pair] -= 1
        else:
            kept.append(column)
    return kept


def _name(index: int) -> str:
    """Return a, b, ..., z, then a1, b1, ..."""
    cycle, place = divmod(index, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(cycle) if cycle else "")
