from math import exp, inf, log, sqrt

import numpy as np
import pytest
from scipy.stats import norm

from qbench.report.statistics.equal_accuracy import Target, equal_accuracy
from qbench.report.statistics.size_curve import SizeCurve, bounds_at, places, reference_index

SEEDS = (0, 1)


def rows(right, images=100, trainings=2):
    """Every training right on the first `right` of `images` images."""
    return np.tile(np.arange(images) < right, (trainings, 1))


def curve(rights, sizes=(32, 64, 128, 256), per_size=10.0, name="a", images=100):
    sizes = sizes[: len(rights)]
    costs = {"bytes": tuple(per_size * size for size in sizes), "energy": tuple(0.5 * size**2 for size in sizes)}
    return SizeCurve(
        name, tuple(map(float, sizes)), costs, tuple(rows(r, images) for r in rights), (SEEDS,) * len(sizes)
    )


def read(targets, *curves, reference=None, at=0, draws=200):
    return equal_accuracy(curves, targets, reference, at, draws)


def test_between_two_sizes_accuracy_is_linear_in_the_logarithm_of_the_cost():
    # 0.93 is three quarters of the way from 0.90 (64) to 0.94 (128).
    (found,) = read([Target(0.93)], curve([80, 90, 94, 96]))
    assert found.place == pytest.approx(1.75)
    assert found.size.value == pytest.approx(exp(0.25 * log(64) + 0.75 * log(128)))
    assert found.costs["bytes"].value == pytest.approx(640**0.25 * 1280**0.75)
    assert found.costs["energy"].value == pytest.approx((0.5 * 64**2) ** 0.25 * (0.5 * 128**2) ** 0.75)
    assert found.ratios == {}


def test_at_a_measured_accuracy_it_is_the_measured_cost():
    costs = [read([Target(right / 100)], curve([80, 90, 94, 96]))[0].costs["bytes"].value for right in (80, 90, 94, 96)]
    assert costs == pytest.approx([320, 640, 1280, 2560])


def test_a_plateau_is_reached_where_it_begins():
    (found,) = read([Target(0.94)], curve([80, 94, 94, 94]))
    assert found.costs["bytes"].value == pytest.approx(640)


def test_a_falling_curve_is_read_off_its_isotonic_fit():
    found = curve([80, 95, 91, 97])  # 0.95 and 0.91 are pooled to 0.93
    assert found.fitted
    assert found.fit == pytest.approx((0.80, 0.93, 0.93, 0.97))
    at = read([Target(0.95)], found)[0]
    assert at.costs["bytes"].value == pytest.approx(sqrt(1280 * 2560))  # halfway from 128 to 256, not 64
    assert not curve([80, 80, 90]).fitted


def test_an_accuracy_above_all_is_not_reached_and_not_extrapolated():
    (found,) = read([Target(0.97)], curve([80, 90, 94, 96]))
    assert found.place == inf
    assert found.size.value is None
    assert (found.size.least, found.size.most) == (pytest.approx(256), None)
    assert found.costs["bytes"].value is None
    assert found.not_reached > 0.025
    assert found.costs["bytes"].high is None


def test_an_accuracy_below_all_is_bounded_by_the_smallest():
    (found,) = read([Target(0.79)], curve([80, 90, 94, 96]))
    assert found.place == -inf
    assert found.costs["bytes"].value is None
    assert (found.costs["bytes"].least, found.costs["bytes"].most) == (None, pytest.approx(320))
    assert found.before_smallest > 0.025
    assert found.costs["bytes"].low is None


def test_the_ratio_is_at_the_same_accuracy_not_at_the_same_size():
    reference, other = curve([80, 90, 94, 96], per_size=100), curve([70, 80, 90, 94], per_size=4, name="b")
    mine, theirs = read([Target(0.90)], reference, other, reference=0, at=1)
    assert mine.ratios["bytes"].value == 1
    assert theirs.size.value == pytest.approx(128)
    assert theirs.ratios["bytes"].value == pytest.approx(6400 / 512)  # at the same size it would be 25
    assert theirs.ratios["energy"].value == pytest.approx(64**2 / 128**2)


def test_a_ratio_to_what_is_not_reached_is_bounded():
    reference, other = curve([80, 90, 94, 96], per_size=100), curve([70, 72, 75, 80], per_size=4, name="b")
    _, found = read([Target(0.90)], reference, other, reference=0)
    assert found.ratios["bytes"].value is None
    assert (found.ratios["bytes"].least, found.ratios["bytes"].most) == (None, pytest.approx(6400 / 1024))
    small = read([Target(0.90)], reference, curve([95, 96, 97], per_size=4), reference=0)[1]
    assert (small.ratios["bytes"].least, small.ratios["bytes"].most) == (pytest.approx(6400 / 128), None)


def test_a_target_relative_to_the_reference_moves_with_it():
    # Both curves are the same predictions: whatever the draw, the other costs a tenth at the reference's accuracy.
    reference, other = curve([80, 90, 94, 96], per_size=100), curve([80, 90, 94, 96], per_size=10, name="b")
    _, moving = read([Target(0.94, 0.0)], reference, other, reference=0, at=2)
    assert moving.costs["bytes"].low == moving.costs["bytes"].high == pytest.approx(1280)
    assert (moving.ratios["bytes"].low, moving.ratios["bytes"].high) == pytest.approx((10, 10))
    _, fixed = read([Target(0.94)], reference, other, reference=0, at=2)
    assert fixed.costs["bytes"].high is None  # in some draws no size has 94 %


def test_draws_that_do_not_reach_the_target_are_counted():
    # One size above the target in expectation by two standard errors of 100 images: 0.96 ± 0.0196 over 0.92.
    (found,) = read([Target(0.92)], curve([80, 85, 90, 96]), draws=4_000)
    drawn = np.random.default_rng(0).binomial(100, 0.96, 100_000) < 92 - 1e-9
    assert found.not_reached == pytest.approx(drawn.mean(), abs=0.01)


def test_places_by_hand():
    fit = np.array([[0.8, 0.9, 0.9, 1.0]] * 5)
    assert places(fit, np.array([0.7, 0.8, 0.85, 0.9, 0.95])).tolist() == pytest.approx([-inf, 0, 0.5, 1, 2.5])
    assert places(fit[:1], np.array([1.01])).tolist() == [inf]
    least, most = bounds_at(np.array([-inf, 0.5, inf]), (1.0, 100.0))
    assert least.tolist() == pytest.approx([0, 10, 100])
    assert most.tolist() == pytest.approx([1, 10, inf])


def test_the_reference_is_the_smallest_size_near_the_best():
    noisy = np.random.default_rng(0).random((3, 2000))

    def made(*accuracies):
        correct = tuple(noisy + 0.001 * i < a for i, a in enumerate(accuracies))
        sizes = tuple(float(2**i) for i in range(len(accuracies)))
        return SizeCurve("fp32", sizes, {}, correct, ((0, 1, 2),) * len(sizes))

    assert reference_index(made(0.5, 0.8, 0.95, 0.951, 0.951)) == 2
    assert reference_index(made(0.5, 0.6, 0.7, 0.8)) == 3
    assert reference_index(made(0.9, 0.8, 0.7)) == 0


def test_the_reference_without_a_common_seed_is_the_best_itself():
    correct = tuple(rows(right, trainings=1) for right in (80, 94, 95))
    assert reference_index(SizeCurve("fp32", (1.0, 2.0, 3.0), {}, correct, ((0,), (1,), (2,)))) == 2


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    # right = [location + of the image + of the seed + rest > 0], so that the population's accuracies are known.
    sizes, of_image, of_seed = (1.0, 2.0, 4.0, 8.0), 1.0, 0.1
    locations = {"fp32": (1.2, 1.8, 2.3, 2.6), "b": (0.8, 1.2, 1.7, 2.5)}
    truth = {n: norm.cdf(np.array(v) / sqrt(1 + of_image**2 + of_seed**2)) for n, v in locations.items()}
    target = truth["fp32"][2] - 0.01
    cost = {n: float(np.exp(np.interp(target, a, np.log(sizes)))) for n, a in truth.items()}
    generator, trials, covered, widths = np.random.default_rng(7), 120, 0, []
    for _ in range(trials):
        images = of_image * generator.standard_normal(400)
        curves = []
        for name, values in locations.items():
            correct = tuple(
                v + images + of_seed * generator.standard_normal((5, 1)) + generator.standard_normal((5, 400)) > 0
                for v in values
            )
            curves.append(SizeCurve(name, sizes, {"bytes": sizes}, correct, (tuple(range(5)),) * 4))
        own = curves[0].fit[2] - 0.01
        found = equal_accuracy(curves, [Target(own, 0.01)], 0, 2, draws=400)[1].ratios["bytes"]
        low, high = found.low or 0.0, found.high or inf
        covered += low <= cost["fp32"] / cost["b"] <= high
        widths.append(high / max(low, 1e-9))
    assert covered / trials > 0.9
    assert np.median(widths) < 3  # and not because it says nothing
