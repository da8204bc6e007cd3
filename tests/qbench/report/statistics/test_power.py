"""Power against statsmodels, and against how often planted differences are found."""

import numpy as np
import pytest
from simulation import correction, differences, mean_over, rejected
from statsmodels.stats.power import TTestPower

from qbench.report.statistics.crossed import CrossedMean, crossed_mean
from qbench.report.statistics.power import detectable_effect, power


def planted(seeds, images, of_seeds, of_images, of_both):
    """The crossed mean whose estimates are the variances themselves."""
    by_seeds, by_images = (of_seeds + of_both / images) / seeds, of_images / images
    return CrossedMean(
        np.asarray(0.0), np.asarray(by_seeds), np.asarray(by_images), seeds, images,
        np.asarray(of_seeds), np.asarray(of_images), np.asarray(of_both),
    )  # fmt: skip


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("effect", [0.5, 1.0, 2.0, 4.0])
def test_of_seeds_alone_it_is_that_of_a_t_test(seeds, effect):
    mean = planted(seeds, 100, 1.0, 0.0, 0.0)
    one_way = TTestPower().power(effect, seeds, 0.025, alternative="larger")
    both_ways = TTestPower().power(effect, seeds, 0.05, alternative="two-sided")
    assert power(mean, effect) == pytest.approx(one_way, abs=1e-6)
    assert power(mean, effect) == pytest.approx(both_ways, abs=0.01)  # finding the opposite counts in theirs


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_detectable_effect_is_that_of_a_t_test(seeds):
    theirs = TTestPower().solve_power(nobs=seeds, alpha=0.05, power=0.8, alternative="two-sided")
    assert detectable_effect(planted(seeds, 100, 1.0, 0.0, 0.0), 0.8) == pytest.approx(theirs, rel=1e-3)


def test_no_effect_has_no_power():
    assert power(planted(3, 100, 1.0, 1.0, 1.0), 0.0) == 0.0
    assert power(planted(3, 100, 1.0, 1.0, 1.0), -1.0) == 0.0


@pytest.mark.parametrize(
    ("seeds", "of_seeds", "of_images", "of_both"),
    [(5, 0.01, 0.0, 1.0), (5, 0.0, 1.0, 0.1), (5, 0.005, 0.5, 1.0), (3, 0.005, 1.0, 0.2), (10, 0.005, 1.0, 0.2)],
)
def test_the_detectable_effect_is_found_in_80_percent(seeds, of_seeds, of_images, of_both):
    images, simulations, g = 100, 2000, np.random.default_rng(0)
    effect = detectable_effect(planted(seeds, images, of_seeds, of_images, of_both), 0.8)
    values = effect + np.sqrt(of_both) * g.standard_normal((simulations, seeds, images))
    values += np.sqrt(of_seeds) * g.standard_normal((simulations, seeds, 1))
    values += np.sqrt(of_images) * g.standard_normal((simulations, 1, images))
    found = float((crossed_mean(values).p_value() <= 0.05).mean())
    assert found == pytest.approx(0.8, abs=0.035)  # the standard error is 0.009


@pytest.mark.parametrize(
    ("mixture", "seeds", "points"),
    [("image", 5, 0.0125), ("large seed", 5, 0.035), ("small seed, some images", 5, 0.014), ("no effects", 10, 0.009)],
)
def test_planted_differences_of_schemes_are_found_as_often_as_predicted(mixture, seeds, points):
    """The prediction is from the mean of the estimated variances; what is planted stands in `simulation`."""
    accuracies, images = (0.97, 0.97 - points), 500
    parts = []
    for deltas in differences(seeds, images, accuracies, mixture, 500, seed=1):
        m = mean_over(deltas)
        parts.append([m.by_seeds, m.by_images, m.of_seeds, m.of_images, m.of_both, correction(deltas)])
    *two, a, b, e, unit = np.concatenate(parts, axis=1).mean(axis=1)
    predicted = power(CrossedMean(np.asarray(0.0), *two, seeds, images, a, b, e), points - unit)
    found = rejected(seeds, images, accuracies, mixture, 1000, seed=2)[0]
    assert 0.3 < predicted < 0.95
    assert found == pytest.approx(predicted, abs=0.06)  # the standard error is 0.015, and the prediction's own
