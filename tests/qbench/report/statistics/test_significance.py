"""The paired tests against scipy and against the t statistic's formula."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, t

from qbench.report.statistics.significance import mcnemar, paired_t, paired_test


@pytest.mark.parametrize(
    ("b", "c"), [(0, 0), (1, 0), (0, 5), (5, 5), (6, 5), (10, 0), (25, 11), (80, 120), (700, 640), (0, 1200)]
)
def test_mcnemar_is_the_exact_binomial_test(b, c):
    expected = binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
    assert mcnemar(b, c) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(b, c) == mcnemar(c, b)


def test_mcnemar_by_hand():
    assert mcnemar(6, 0) == 2 / 64
    assert mcnemar(5, 0) == 2 / 32  # five against none are not significant
    assert mcnemar(3, 3) == 1.0


def test_paired_t_by_its_formula():
    differences = [0.3, 0.1, 0.25]
    mean = sum(differences) / 3
    variance = sum((d - mean) ** 2 for d in differences) / 2
    statistic = mean / math.sqrt(variance / 3)
    assert paired_t(differences) == pytest.approx(2 * t.sf(statistic, 2), rel=1e-9)
    assert paired_t([-d for d in differences]) == pytest.approx(paired_t(differences))


@pytest.mark.parametrize("differences", [[], [1.0], [0.0, 0.0], [0.2, 0.2, 0.2]])
def test_paired_t_says_nothing_without_spread(differences):
    assert paired_t(differences) is None


def right(images, wrong):
    found = np.ones(images, dtype=np.bool_)
    found[list(wrong)] = False
    return found


def test_differences_and_directions():
    # Seed 0: only the second errs on images 1 to 8; seed 1: the first on one, the second on two.
    first = [right(100, [0]), right(100, [5])]
    second = [right(100, range(9)), right(100, [6, 7])]
    found = paired_test(first, second)
    assert found.seeds == 2
    assert found.difference == pytest.approx((8 + 1) / 2)
    assert found.p_images == 2 * mcnemar(8, 0)  # Bonferroni: twice, for two seeds
    assert found.p_images_against == 1.0
    swapped = paired_test(second, first)
    assert swapped.difference == -found.difference
    assert (swapped.p_images, swapped.p_images_against) == (1.0, found.p_images)


def test_an_average_does_not_hide_a_seed_that_goes_the_other_way():
    found = paired_test([right(100, []), right(100, range(20))], [right(100, range(30)), right(100, [])])
    assert found.difference > 0
    assert found.p_images < 0.05
    assert found.p_images_against < 0.05


@pytest.mark.parametrize(
    ("first", "second"),
    [([], []), ([right(3, [])], []), ([right(3, [])], [right(4, [])])],
)
def test_unequal_pairs_are_refused(first, second):
    with pytest.raises(ValueError, match="equal numbers"):
        paired_test(first, second)
