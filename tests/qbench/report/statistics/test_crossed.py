"""The crossed mean against statsmodels' analysis of variance, and its quantile against scipy's."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t, ttest_1samp
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from qbench.report.statistics.crossed import crossed_mean, mean_over, mean_over_images


def planted(seeds, images, of_seeds=0.3, of_images=1.0, of_both=0.5, seed=0):
    g = np.random.default_rng(seed)
    a, b = of_seeds * g.standard_normal((seeds, 1)), of_images * g.standard_normal((1, images))
    return 2.0 + a + b + of_both * g.standard_normal((seeds, images))


def test_mean_squares_are_those_of_a_two_way_analysis_of_variance():
    values = planted(4, 25)
    frame = pd.DataFrame([(s, n, y) for (s, n), y in np.ndenumerate(values)], columns=["seed", "image", "y"])
    table = anova_lm(ols("y ~ C(seed) + C(image)", frame).fit())
    ms_a, ms_b, ms_e = table["mean_sq"]
    found = crossed_mean(values)
    assert float(found.mean) == pytest.approx(values.mean())
    assert float(found.by_seeds) == pytest.approx(ms_a / 100)
    assert float(found.by_images) == pytest.approx((ms_b - ms_e) / 100)
    assert float(found.of_seeds) == pytest.approx((ms_a - ms_e) / 25)
    assert float(found.of_images) == pytest.approx((ms_b - ms_e) / 4)
    assert float(found.of_both) == pytest.approx(ms_e)


def test_the_estimates_are_right_on_average():
    values = np.stack([planted(5, 40, seed=seed) for seed in range(2000)])
    found = crossed_mean(values)
    # Of 2,000 estimates; MS_a has 4 degrees of freedom, so that the standard error of its mean is 1.6 %.
    assert found.of_seeds.mean() == pytest.approx(0.09, rel=0.06)
    assert found.of_images.mean() == pytest.approx(1.0, rel=0.03)
    assert found.of_both.mean() == pytest.approx(0.25, rel=0.01)
    assert found.variance.mean() == pytest.approx(found.mean.var(), rel=0.12)


def test_the_quantile_is_the_weighted_mean_of_student_quantiles():
    found = crossed_mean(planted(3, 30))
    share = float(found.by_seeds / found.variance)
    assert 0 < share < 1
    for p in (0.05, 0.001):
        expected = share * t.ppf(1 - p / 2, 2) + (1 - share) * t.ppf(1 - p / 2, 29)
        assert float(found.quantile(np.asarray(p))) == pytest.approx(expected)
    assert t.ppf(0.975, float(found.degrees)) == pytest.approx(float(found.quantile(np.asarray(0.05))))


def test_seeds_alone_are_a_t_test_of_the_seeds():
    values = np.repeat([[0.1], [0.4], [0.3]], 10, axis=1)
    found = crossed_mean(values)
    assert float(found.by_images) == pytest.approx(0, abs=1e-15)
    assert float(found.p_value()) == pytest.approx(ttest_1samp([0.1, 0.4, 0.3], 0).pvalue)
    low, high = ttest_1samp([0.1, 0.4, 0.3], 0).confidence_interval(0.95)
    assert float(found.half_width()) == pytest.approx((high - low) / 2)


def test_images_alone_are_a_t_test_of_the_images():
    values = planted(2, 30) - 1.7
    found = mean_over(values)
    expected = ttest_1samp(values.mean(axis=0), 0)
    assert float(found.p_value()) == pytest.approx(expected.pvalue)
    low, high = expected.confidence_interval(0.95)
    assert float(found.half_width()) == pytest.approx((high - low) / 2)
    assert float(mean_over_images(values).mean) == pytest.approx(values.mean())


@given(st.integers(0, 1000), st.floats(0.0, 3.0))
def test_p_is_where_the_interval_ends_at_0(seed, shift):
    found = crossed_mean(planted(3, 12, seed=seed) - shift)
    p = found.p_value()
    assert 0 < float(p) <= 1
    assert float(found.quantile(p) * found.error) == pytest.approx(abs(float(found.mean)), rel=1e-6, abs=1e-9)
    assert (float(p) <= 0.05) == (abs(float(found.mean)) >= float(found.half_width()))


def test_equal_seeds_take_their_spread_from_within():
    values = np.zeros((4, 50))
    values[range(4), range(4)] = 1  # four seeds, each right on one image
    found = crossed_mean(values)
    assert float(found.by_seeds) == 0
    assert float(found.variance) == pytest.approx(float(found.of_both) / 200)
    assert float(found.error) == pytest.approx(np.sqrt(0.02 * 0.98 / 200), rel=0.03)  # 4 of 200 independent ones
    assert float(found.at(8, 50).variance) == pytest.approx(float(found.variance) / 2)


def test_what_more_seeds_and_images_would_give():
    found = crossed_mean(planted(4, 25))
    of_seeds, of_images, of_both = float(found.of_seeds), float(found.of_images), float(found.of_both)
    for seeds, images in ((4, 25), (8, 25), (4, 100), (16, 1000)):
        expected = of_seeds / seeds + of_images / images + of_both / (seeds * images)
        assert float(found.at(seeds, images).variance) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(1, 5), (5, 1)])
def test_one_seed_or_image_is_refused(shape):
    with pytest.raises(ValueError, match="two of each"):
        crossed_mean(np.zeros(shape))
    with pytest.raises(ValueError, match="at least two"):
        mean_over_images(np.zeros((2, 1)))
