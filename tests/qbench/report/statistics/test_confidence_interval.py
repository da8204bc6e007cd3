import numpy as np
import pytest
from scipy.stats import binomtest

from qbench.report.statistics.confidence_interval import accuracy_interval, bootstrap_means, correct_matrix


def crossed_variance(correct):
    """Variance of w·C·v / (S·N) over independent multinomial w (S draws) and v (N draws), C given; exact.

    E[w_s w_t] = 1 - 1/S + [s = t], and the like for v; expand the square of the sum.
    """
    c = correct.astype(float)
    seeds, images = c.shape
    a, b = 1 - 1 / seeds, 1 - 1 / images
    second = (c**2).sum() + b * (c.sum(1) ** 2).sum() + a * (c.sum(0) ** 2).sum() + a * b * c.sum() ** 2
    return (second - c.sum() ** 2) / (seeds * images) ** 2


def random_matrix(seeds, images, seed=0):
    generator = np.random.default_rng(seed)
    skill = generator.normal(1.0, 0.5, (seeds, 1)) + generator.normal(0, 1.5, (1, images))
    return generator.random((seeds, images)) < 1 / (1 + np.exp(-skill))


@pytest.mark.parametrize(("seeds", "images"), [(1, 50), (2, 7), (5, 360), (12, 200)])
def test_draws_have_the_known_mean_and_variance(seeds, images):
    correct = random_matrix(seeds, images)
    means = bootstrap_means(correct, 200_000, seed=1)
    deviation = np.sqrt(crossed_variance(correct))
    assert means.mean() == pytest.approx(correct.mean(), abs=5 * deviation / np.sqrt(200_000))
    assert means.std() == pytest.approx(deviation, rel=0.01)


def test_draws_are_those_of_a_loop_over_seeds_and_images():
    correct = random_matrix(3, 20, seed=4)
    generator = np.random.default_rng(7)
    loop = []
    for _ in range(20_000):
        rows, columns = generator.integers(3, size=3), generator.integers(20, size=20)
        loop.append(np.mean([correct[row, column] for row in rows for column in columns]))
    fast = bootstrap_means(correct, 20_000, seed=8)
    for quantile in (0.025, 0.16, 0.5, 0.84, 0.975):
        assert np.quantile(fast, quantile) == pytest.approx(np.quantile(loop, quantile), abs=0.02)


def test_columns_grouped_or_not_the_draws_have_one_distribution():
    # 10,000 images in at most 2^3 kinds: what is grouped must weigh as many images as it stands for.
    correct = np.repeat(random_matrix(3, 10, seed=2), 1000, axis=1)
    means = bootstrap_means(correct, 100_000, seed=0)
    assert means.std() == pytest.approx(np.sqrt(crossed_variance(correct)), rel=0.02)


def test_three_equal_seeds_do_not_mean_zero_width():
    predictions = [[1] * 90 + [0] * 10] * 3
    interval = accuracy_interval(predictions, [1] * 100)
    assert interval.mean == pytest.approx(0.9)
    assert interval.method == "crossed"
    # Equal seeds leave the binomial spread of the images: 0.9 ± 1.96 · 0.03.
    assert interval.low == pytest.approx(0.84, abs=0.015)
    assert interval.high == pytest.approx(0.95, abs=0.015)


def test_seeds_that_differ_widen_the_interval():
    steady = accuracy_interval([[1] * 90 + [0] * 10] * 4, [1] * 100)
    shaky = accuracy_interval([[1] * n + [0] * (100 - n) for n in (100, 80, 98, 82)], [1] * 100)
    assert shaky.mean == pytest.approx(steady.mean)
    assert shaky.high - shaky.low > 1.3 * (steady.high - steady.low)


def test_one_seed_is_said_to_be_of_images_alone():
    interval = accuracy_interval([[1] * 30 + [0] * 10], [1] * 40)
    assert interval.method == "images"
    assert interval.low < 0.75 < interval.high


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize(("prediction", "successes"), [(1, 50), (0, 0)])
def test_nothing_to_resample_is_clopper_pearson(seeds, prediction, successes):
    interval = accuracy_interval([[prediction] * 50] * seeds, [1] * 50)
    exact = binomtest(successes, 50).proportion_ci(0.95, method="exact")
    assert interval.method == "exact"
    assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high))
    assert interval.high - interval.low > 0.05


def test_the_same_input_gives_the_same_interval():
    predictions = random_matrix(5, 100).astype(int).tolist()
    assert accuracy_interval(predictions, [1] * 100) == accuracy_interval(predictions, [1] * 100)


def test_the_interval_covers_the_truth():
    """Trainings and images drawn anew 300 times: 95 % should cover; below 88 % something is left out."""
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        easiness = generator.beta(8, 1, (1, 200))  # an image's chance, averaged over trainings: mean 8/9
        correct = generator.random((5, 200)) < easiness
        interval = accuracy_interval(correct.astype(int).tolist(), [1] * 200, draws=2000)
        covered += interval.low <= 8 / 9 <= interval.high
    assert covered / 300 >= 0.88


def test_accuracy_is_of_predictions_that_equal_labels():
    found = correct_matrix([[0, 1, 2], [2, 1, 0]], [0, 1, 0])
    assert found.tolist() == [[True, True, False], [False, True, True]]


@pytest.mark.parametrize(("predictions", "labels"), [([], [1]), ([[]], []), ([[1, 2]], [1]), ([[1], [1, 2]], [1])])
def test_shapes_that_do_not_fit_are_refused(predictions, labels):
    with pytest.raises(ValueError, match=r"accuracy needs|images for"):
        accuracy_interval(predictions, labels)
