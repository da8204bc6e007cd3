"""The difference of two groups: false positives in simulation, tests by others, and cases without spread."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel
from simulation import ACCURACIES, IMAGES, PAIR_MIXTURES, SEEDS, rejected
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from qbench.report.statistics.crossed import crossed_mean
from qbench.report.statistics.difference import correction, difference
from qbench.report.statistics.power import power


def at_most(share, bound, simulations):
    """Whether a share of simulations is compatible with a true one of at most `bound`, at 3 standard errors."""
    return share <= bound + 3 * math.sqrt(bound * (1 - bound) / simulations)


@pytest.mark.parametrize("mixture", PAIR_MIXTURES)
@pytest.mark.parametrize(("seeds", "images", "accuracy"), [(3, 360, 0.97), (3, 1000, 0.9), (10, 360, 0.97)])
def test_without_a_difference_few_are_found(seeds, images, accuracy, mixture):
    five, one = rejected(seeds, images, (accuracy, accuracy), mixture, 1000, (0.05, 0.01))
    assert at_most(five, 0.055, 1000)
    assert at_most(one, 0.012, 1000)


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("mixture", ["no effects", "image", "image decides"])
def test_without_a_difference_few_are_found_over_images(seeds, mixture):
    assert at_most(rejected(seeds, 360, (0.95, 0.95), mixture, 2000)[0], 0.055, 2000)


@pytest.mark.slow
@pytest.mark.parametrize("mixture", PAIR_MIXTURES)
@pytest.mark.parametrize("images", IMAGES)
@pytest.mark.parametrize("seeds", SEEDS)
def test_without_a_difference_few_are_found_in_all_settings(seeds, images, mixture):
    for accuracy in ACCURACIES:
        found = rejected(seeds, images, (accuracy, accuracy), mixture, 1000, seed=1)[0]
        assert at_most(found, 0.055, 1000), (accuracy, found)


def random_pair(seed, seeds=4, images=60, first=0.9, second=0.8):
    g = np.random.default_rng(seed)
    easy = g.normal(0, 1.5, (1, images))
    logits = (math.log(each / (1 - each)) for each in (first, second))
    a, b = (
        g.random((seeds, images)) < 1 / (1 + np.exp(-at - easy - 0.3 * g.normal(0, 1, (seeds, 1)))) for at in logits
    )
    return a, b


def test_the_difference_by_its_formula():
    a, b = random_pair(3)
    y = a.astype(float) - b.astype(float)
    found, mean = difference(a, b), crossed_mean(y)
    per_image = y.sum(axis=0)
    unit = (per_image**2).sum() / np.abs(per_image).sum() / y.size
    assert found.mean == pytest.approx(a.mean() - b.mean())
    assert (found.high - found.low) / 2 == pytest.approx(float(mean.half_width()) + unit)
    assert (found.high + found.low) / 2 == pytest.approx(found.mean)
    assert found.over == "seeds and images"
    assert found.withheld is None
    assert (found.seeds, found.images) == (4, 60)


def test_the_correction_of_one_seed_is_edwards():
    y = np.zeros((1, 200), dtype=np.int8)
    y[0, :12], y[0, 12:17] = 1, -1
    assert float(correction(y)) == 1 / 200
    corrected = mcnemar([[0, 12], [5, 183]], exact=False, correction=True)
    found = difference(y == 1, y == -1)
    # The chi-squared test takes the variance under the hypothesis, and normal quantiles.
    assert found.p == pytest.approx(corrected.pvalue, abs=0.005)


def test_the_two_tests_beside_it_are_scipys_and_statsmodels():
    a, b = random_pair(5, seeds=5)
    found = difference(a, b)
    assert found.p_seeds == pytest.approx(ttest_rel(a.mean(axis=1), b.mean(axis=1)).pvalue)
    exact = [
        mcnemar([[0, int((x & ~y).sum())], [int((y & ~x).sum()), 0]], exact=True).pvalue
        for x, y in zip(a, b, strict=True)
    ]
    assert found.p_images == pytest.approx(min(multipletests(exact, method="bonferroni")[1]))


def test_images_of_opposite_seeds_are_one_family():
    # Both seeds differ, in opposite directions: the smaller of two-sided p-values, times two; no direction is chosen.
    a, b = np.ones((2, 100), dtype=bool), np.ones((2, 100), dtype=bool)
    b[0, :8] = False
    a[1, :10] = False
    assert difference(a, b).p_images == pytest.approx(2 * 2 / 2**10)
    assert difference(b, a).p_images == difference(a, b).p_images


@given(st.integers(0, 10_000), st.integers(1, 5), st.floats(0.5, 0.98), st.floats(0.5, 0.98))
def test_p_and_interval_agree_and_turn_with_the_groups(seed, seeds, first, second):
    a, b = random_pair(seed, seeds, 30, first, second)
    one, other = difference(a, b), difference(b, a)
    assert 0 <= one.p <= 1
    assert -1 <= one.low <= one.mean <= one.high <= 1
    assert (one.p <= 0.05) == (one.low > 0 or one.high < 0)
    assert (other.mean, other.low, other.high, other.p) == (-one.mean, -one.high, -one.low, one.p)


def one_way(count, images=300, seeds=4):
    """Two groups that differ on `count` images, all in one direction, in every seed."""
    a, b = np.ones((seeds, images), dtype=bool), np.ones((seeds, images), dtype=bool)
    b[:, :count] = False
    return a, b


@pytest.mark.parametrize("seeds", [1, 3, 5])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 8, 12])
def test_few_images_in_one_direction_are_judged_as_by_mcnemars_exact_test(count, seeds):
    found = difference(*one_way(count, seeds=seeds))
    exact = 2 / 2**count
    assert found.p >= 0.9 * exact or exact < 0.005
    assert (found.p <= 0.05) == (exact <= 0.05)


def test_equal_groups_are_equal_only_as_far_as_the_images_tell():
    a, _ = random_pair(0)
    found = difference(a, a)
    # As many as 5.96 % of other images could be otherwise (Clopper-Pearson, 0 of 60).
    bound = proportion_confint(0, 60, 0.05, method="beta")[1]
    assert (found.low, found.high) == pytest.approx((-bound, bound))
    assert bound == pytest.approx(3.7 / 60, rel=0.06)  # the rule of three, two-sided: 3.7
    assert (found.mean, found.p, found.p_seeds, found.p_images, found.over) == (0.0, 1.0, None, 1.0, "exact")
    assert found.detectable is None


@pytest.mark.parametrize("images", [1, 4, 5, 6, 50])
def test_a_difference_on_every_image_is_exact(images):
    a, b = one_way(images, images)
    found = difference(a, b)
    assert (found.mean, found.high, found.over) == (1.0, 1.0, "exact")
    assert found.p == pytest.approx(min(1.0, 2 / 2**images))
    assert (found.p <= 0.05) == (found.low > 0)


def test_one_image_says_nothing():
    found = difference(np.array([[True], [False], [True]]), np.array([[False], [False], [False]]))
    assert found.low == pytest.approx(2 / 3 - 0.975 * 5 / 3)
    assert (found.high, found.p, found.over) == (1.0, 1.0, "exact")


@pytest.mark.parametrize("images", [4, 8, 9, 10, 11, 50])
def test_two_seeds_with_one_mean_on_every_image_are_exact(images):
    # In the first seed all differ, in the second none: the images' means are all 0.5.
    a, b = np.ones((2, images), dtype=bool), np.ones((2, images), dtype=bool)
    b[0] = False
    found = difference(a, b)
    assert (found.mean, found.over) == (0.5, "exact")
    assert found.low < 0.5 < found.high
    assert (found.p <= 0.05) == (found.low > 0)
    # Of opposite differences nothing is left.
    c = np.stack([np.zeros(images, dtype=bool), np.ones(images, dtype=bool)])
    opposite = difference(~c, c)
    assert (opposite.mean, opposite.p) == (0.0, 1.0)
    assert opposite.low == -opposite.high < 0


def test_equal_differences_of_all_seeds_are_no_certainty():
    # One error more in each seed, each on another image: MS_a is 0, and there is no spread over the seeds.
    a, b = np.ones((4, 300), dtype=bool), np.ones((4, 300), dtype=bool)
    b[range(4), range(4)] = False
    found = difference(a, b)
    assert found.p_seeds is None
    assert found.low < 0 < found.high
    assert found.p > 0.0625  # four against none, in McNemar's exact test: 2/16


@pytest.mark.parametrize("seeds", [1, 2])
def test_below_three_seeds_what_holds_for_others_is_withheld(seeds):
    found = difference(*random_pair(1, seeds, 500))
    assert found.over == "images"
    assert "fewer than 3 seeds" in found.withheld
    assert (found.detectable, found.seeds_needed, found.images_needed) == (None, None, None)


def test_what_it_would_take():
    a, b = random_pair(0, 5, 400, 0.92, 0.90)
    found = difference(a, b)
    y = a.astype(float) - b.astype(float)
    mean, unit = crossed_mean(y), float(correction(y.astype(np.int8)))
    assert power(mean, found.detectable - unit) == pytest.approx(0.8, abs=1e-6)
    size = abs(found.mean)
    assert 0 < size < found.detectable
    needed = found.seeds_needed
    assert power(mean.at(needed, 400), size - unit) >= 0.8 > power(mean.at(needed - 1, 400), size - unit)
    needed = found.images_needed
    enough, fewer = (power(mean.at(5, n), size - unit * 400 / n) for n in (needed, needed - 1))
    assert enough >= 0.8 > fewer


def test_more_seeds_do_not_make_up_for_too_few_images():
    a, b = one_way(5)
    assert difference(a, b).seeds_needed is None
    assert difference(a, b).images_needed > 300


def test_a_clear_difference_needs_the_fewest_seeds():
    found = difference(*random_pair(0, 5, 2000, 0.95, 0.5))
    assert found.seeds_needed == 3
    assert found.images_needed < 2000
    assert found.detectable < found.mean


def test_all_pairs_of_thirty_groups_take_seconds():
    g = np.random.default_rng(0)
    easy = g.normal(3, 2, (1, 10_000))
    groups = [g.random((5, 10_000)) < 1 / (1 + np.exp(-easy - 0.05 * i)) for i in range(30)]
    start = time.process_time()
    for i, first in enumerate(groups):
        for second in groups[:i]:
            difference(first, second)
    assert time.process_time() - start < 6


@pytest.mark.parametrize("shapes", [((0, 3), (0, 3)), ((2, 0), (2, 0)), ((2, 3), (3, 3)), ((2, 3), (2, 4))])
def test_unequal_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match="equal shapes"):
        difference(*(np.ones(shape, dtype=bool) for shape in shapes))
