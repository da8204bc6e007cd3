"""The interval of an accuracy: its coverage in simulation, its formula, and the cases without spread."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, t
from simulation import ACCURACIES, GROUP_MIXTURES, IMAGES, SEEDS, coverage
from statsmodels.stats.proportion import proportion_confint

from qbench.report.statistics.confidence_interval import accuracy_interval, correct_matrix, intervals


def random_matrix(seeds, images, seed=0):
    generator = np.random.default_rng(seed)
    skill = generator.normal(1.0, 0.5, (seeds, 1)) + generator.normal(0, 1.5, (1, images))
    return generator.random((seeds, images)) < 1 / (1 + np.exp(-skill))


def within(share, low, high, simulations):
    """Whether a share of simulations is compatible with a true one from low to high, at 3.5 standard errors."""
    slack = [3.5 * math.sqrt(p * (1 - p) / simulations) for p in (low, high)]
    return low - slack[0] <= share <= high + slack[1]


def ceiling(seeds, images, accuracy):
    """What coverage is at most: 97 %, and more for three seeds, most where few errors are made; see `intervals`."""
    return 0.99 if (seeds, images, accuracy) == (3, 360, 0.99) else 0.975 if seeds == 3 else 0.97


@pytest.mark.parametrize("mixture", GROUP_MIXTURES)
@pytest.mark.parametrize(("seeds", "images", "accuracy"), [(3, 360, 0.97), (3, 1000, 0.9), (5, 360, 0.99)])
def test_the_interval_covers_other_seeds_and_images(seeds, images, accuracy, mixture):
    share, _, _ = coverage(seeds, images, accuracy, mixture, 1000)
    assert within(share, 0.93, ceiling(seeds, images, accuracy), 1000)


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("accuracy", [0.9, 0.99])
def test_with_fewer_than_three_seeds_the_interval_covers_other_images(seeds, accuracy):
    share, _, _ = coverage(seeds, 360, accuracy, "large seed and image", 2000)
    assert within(share, 0.94, 0.97, 2000)


@pytest.mark.slow
@pytest.mark.parametrize("mixture", GROUP_MIXTURES)
@pytest.mark.parametrize("images", IMAGES)
@pytest.mark.parametrize("seeds", SEEDS)
def test_the_interval_covers_in_all_settings(seeds, images, mixture):
    for accuracy in ACCURACIES:
        share, _, _ = coverage(seeds, images, accuracy, mixture, 1000, seed=1)
        assert within(share, 0.93, ceiling(seeds, images, accuracy), 1000), (accuracy, share)


def test_the_interval_by_its_formula():
    correct = random_matrix(4, 60)
    interval = accuracy_interval(correct.astype(int).tolist(), [1] * 60)
    y, size = correct.astype(float), 240
    p = y.mean()
    ms_a = 60 * ((y.mean(1) - p) ** 2).sum() / 3
    ms_b = 4 * ((y.mean(0) - p) ** 2).sum() / 59
    rest = y - y.mean(1, keepdims=True) - y.mean(0, keepdims=True) + p
    ms_e = (rest**2).sum() / (3 * 59)
    seeds, images = ms_a / size, max(ms_b - ms_e, 0) / size
    quantile = (seeds * t.ppf(0.975, 3) + images * t.ppf(0.975, 59)) / (seeds + images)
    half = quantile * math.sqrt(seeds + images) / (p * (1 - p))
    logit = math.log(p / (1 - p))
    assert interval.mean == pytest.approx(p)
    assert interval.low == pytest.approx(1 / (1 + math.exp(half - logit)))
    assert interval.high == pytest.approx(1 / (1 + math.exp(-half - logit)))
    assert (interval.method, interval.withheld) == ("crossed", None)


def test_three_equal_seeds_do_not_mean_zero_width():
    interval = accuracy_interval([[1] * 90 + [0] * 10] * 3, [1] * 100)
    assert interval.mean == pytest.approx(0.9)
    # Equal seeds are one: the binomial spread of the images, for which Wilson's interval is another approximation.
    wilson = binomtest(90, 100).proportion_ci(0.95, method="wilson")
    assert (interval.low, interval.high) == pytest.approx((wilson.low, wilson.high), abs=0.005)


def test_equal_seeds_with_errors_on_other_images_have_a_width():
    correct = np.ones((3, 100), dtype=bool)
    for seed in range(3):
        correct[seed, 5 * seed : 5 * seed + 5] = False  # five errors each, none in common: MS_a = 0 and MS_b < MS_e
    low, high = intervals(correct)
    independent = 0.95 - 1.96 * math.sqrt(0.95 * 0.05 / 300)  # as if 300 images were independent
    assert low < independent
    assert high > 0.97


def test_seeds_that_differ_widen_the_interval():
    steady = accuracy_interval([[1] * 90 + [0] * 10] * 4, [1] * 100)
    shaky = accuracy_interval([[1] * n + [0] * (100 - n) for n in (100, 80, 98, 82)], [1] * 100)
    assert shaky.mean == pytest.approx(steady.mean)
    assert shaky.high - shaky.low > 1.3 * (steady.high - steady.low)


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_are_said_to_be_of_images_alone(seeds):
    interval = accuracy_interval([[1] * 30 + [0] * 10] * seeds, [1] * 40)
    assert interval.method == "images"
    assert "fewer than 3 seeds" in interval.withheld
    wilson = binomtest(30, 40).proportion_ci(0.95, method="wilson")
    assert (interval.low, interval.high) == pytest.approx((wilson.low, wilson.high), abs=0.015)


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("images", [1, 50])
@pytest.mark.parametrize("prediction", [1, 0])
def test_no_spread_is_clopper_pearson(seeds, images, prediction):
    interval = accuracy_interval([[prediction] * images] * seeds, [1] * images)
    exact = proportion_confint(prediction * images, images, 0.05, method="beta")
    assert interval.method == "exact"
    assert (interval.low, interval.high) == pytest.approx(np.nan_to_num(exact))
    assert interval.high - interval.low > 0.05
    assert "test images alone" in interval.withheld


def test_the_ends_stay_between_0_and_1():
    for wrong in (1, 99):
        correct = np.arange(100)[None, :] >= np.full((3, 1), wrong)
        correct[0, 0] = True
        low, high = intervals(correct)
        assert 0 < low < correct.mean() < high < 1


def test_one_image_that_some_trainings_get_right_leaves_all_open():
    interval = accuracy_interval([[1], [0], [1]], [1])
    assert interval.low < 0.02
    assert interval.high > 0.99


def test_two_trainings_that_share_the_images_between_them_are_no_certainty():
    interval = accuracy_interval([[1] * 20 + [0] * 20, [0] * 20 + [1] * 20], [1] * 40)
    # Up to 8.8 % of other images could be otherwise (0 of 40), all in one direction.
    bound = proportion_confint(0, 40, 0.05, method="beta")[1]
    assert (interval.mean, interval.method) == (0.5, "exact")
    assert (interval.low, interval.high) == pytest.approx((0.5 - 0.5 * bound, 0.5 + 0.5 * bound))


def test_many_at_once_are_those_one_by_one():
    many = np.stack([random_matrix(3, 40, seed) for seed in range(5)] + [np.ones((3, 40), dtype=bool)])
    low, high = intervals(many)
    for index, correct in enumerate(many):
        one = accuracy_interval(correct.astype(int).tolist(), [1] * 40)
        assert (low[index], high[index]) == (one.low, one.high)


def test_accuracy_is_of_predictions_that_equal_labels():
    found = correct_matrix([[0, 1, 2], [2, 1, 0]], [0, 1, 0])
    assert found.tolist() == [[True, True, False], [False, True, True]]


@pytest.mark.parametrize(("predictions", "labels"), [([], [1]), ([[]], []), ([[1, 2]], [1]), ([[1], [1, 2]], [1])])
def test_shapes_that_do_not_fit_are_refused(predictions, labels):
    with pytest.raises(ValueError, match=r"accuracy needs|images for"):
        accuracy_interval(predictions, labels)
