"""Pairs of groups: what is compared with what, Holm's correction, and how long it takes."""

import time
from dataclasses import replace

import numpy as np
import pytest
from planted import record, study
from statsmodels.stats.multitest import multipletests

from qbench.report.model.comparison import MAX_GROUPS, compare, compare_all
from qbench.report.model.group import Group, make_groups
from qbench.report.statistics.difference import difference


def groups_of(*args, **options):
    return make_groups([study(*args, **options)])[0]


def scheme_groups(count, seeds=(0, 1, 2), images=60):
    schemes = {f"s{i:03}": (0.9, 1000, 1.0) for i in range(count)}
    return groups_of(schemes, seeds, images=images)


def planted_group(name, correct):
    """A group whose training s is right where `correct` [S, N] says so."""
    labels = [1] * correct.shape[1]
    trials = tuple(
        replace(record(name, seed, true=labels), predictions=row.astype(int).tolist())
        for seed, row in enumerate(correct)
    )
    return Group(name, {"scheme": name}, trials, {}, (), 0, None, {})


def test_all_pairs_are_compared_and_corrected_together():
    groups = groups_of()
    found = compare_all(groups, [None] * 3)
    names = [group.name for group in groups]
    assert [(each.first, each.second) for each in found] == [
        (names[0], names[1]), (names[0], names[2]), (names[1], names[2])
    ]  # fmt: skip
    p = [each.difference.p for each in found]
    assert [each.p_adjusted for each in found] == pytest.approx(multipletests(p, method="holm")[1].tolist())
    assert [each.distinguishable for each in found] == [each.p_adjusted <= 0.05 for each in found]


def test_groups_that_predict_the_same_count_among_the_comparisons():
    g = np.random.default_rng(0)
    one, other = g.random((4, 300)) < 0.9, g.random((4, 300)) < 0.8
    groups = [planted_group(name, c) for name, c in (("a", one), ("b", one), ("c", other))]
    same, first, second = compare_all(groups, [None] * 3)
    assert (same.difference.p, same.p_adjusted, same.distinguishable) == (1.0, 1.0, False)
    assert first.difference.p == second.difference.p
    assert first.p_adjusted == pytest.approx(3 * first.difference.p)  # three hypotheses, not two


def test_rows_are_paired_by_their_seeds():
    groups = {group.name: group for group in groups_of({"a": (0.9, 1, 1.0), "b": (0.8, 1, 1.0)}, (0, 1, 2, 3))}
    a, b = groups["a"], groups["b"]
    turned = replace(b, trials=(b.trials[3], b.trials[0], b.trials[2]))
    found = compare(a, turned).difference
    assert found == difference(a.correct([0, 2, 3]), b.correct([0, 2, 3]))
    assert found.seeds == 3
    (all_pairs,) = compare_all([a, turned], [None, None])
    assert all_pairs.difference == found


def test_what_cannot_be_paired_says_why_and_does_not_count():
    a, b, c = groups_of({"a": (0.9, 1, 1.0), "b": (0.8, 1, 1.0), "c": (0.7, 1, 1.0)})
    empty = replace(c, trials=())
    others = [
        (empty, "no trial of c is done"),
        (replace(b, trials=groups_of({"b": (0.8, 1, 1.0)}, (7, 8))[0].trials), "they have no seed in common"),
        (groups_of({"b": (0.8, 1, 1.0)}, images=50)[0], "they were tested on different images"),
    ]
    for other, reason in others:
        found = compare(a, other)
        assert (found.difference, found.withheld, found.p_adjusted, found.distinguishable) == (None, reason, None, None)
    found = compare_all([a, b, empty], [None] * 3)
    assert found[0].p_adjusted == found[0].difference.p  # one of three has a p-value


def test_many_groups_are_compared_with_their_reference_alone():
    groups = scheme_groups(MAX_GROUPS + 1)
    references = [None, *[groups[0]] * MAX_GROUPS]
    found = compare_all(groups, references)
    assert [(each.first, each.second) for each in found] == [(group.name, groups[0].name) for group in groups[1:]]
    assert len(compare_all(groups[:MAX_GROUPS], references[:MAX_GROUPS])) == MAX_GROUPS * (MAX_GROUPS - 1) // 2


def test_two_hundred_groups_take_seconds():
    groups = scheme_groups(200, images=360)
    start = time.process_time()
    compare_all(groups, [None, *[groups[0]] * 199])
    assert time.process_time() - start < 4
