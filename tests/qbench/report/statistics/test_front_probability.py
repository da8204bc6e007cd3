import itertools
import time

import numpy as np
import pytest

from qbench.report.statistics.front_probability import front_probability


def naive(correct, costs, seeds, draws, seed):
    """A loop over draws, with the seeds of equal lists drawn together."""
    generator = np.random.default_rng(seed)
    images = correct[0].shape[1]
    counts = np.zeros(len(correct))
    for _ in range(draws):
        taken = generator.integers(images, size=images)
        of_seeds = {key: generator.integers(len(key), size=len(key)) for key in dict.fromkeys(seeds)}
        accuracy = [
            sum(int(c[s, taken].sum()) for s in of_seeds[k]) / len(k) for c, k in zip(correct, seeds, strict=True)
        ]
        points = [(round(-a, 9), *k) for a, k in zip(accuracy, costs, strict=True)]
        for index, mine in enumerate(points):
            counts[index] += not any(o != mine and all(x <= y for x, y in zip(o, mine, strict=True)) for o in points)
    return counts / draws


def planted(accuracies, seeds, images=60, seed=0):
    g = np.random.default_rng(seed)
    return [g.random((len(s), images)) < a for a, s in zip(accuracies, seeds, strict=True)]


def test_it_is_that_of_a_loop():
    seeds = [(0, 1, 2), (0, 1, 2), (0, 1), (4,)]
    correct = planted([0.8, 0.75, 0.8, 0.85], seeds)
    costs = [(2.0, 1.0), (1.0, 1.0), (2.0, 1.0), (3.0, 0.5)]
    expected = naive(correct, costs, seeds, 3000, seed=1)
    # Both are shares of 3,000 draws: the standard error of their difference is at most 0.013.
    assert front_probability(correct, costs, seeds, 3000) == pytest.approx(expected, abs=0.05)
    assert any(0.05 < each < 0.95 for each in expected)


def test_two_images_by_hand():
    """One seed each, right on one image each: each is right on both draws in a quarter of cases, and on one in half."""
    correct = [np.array([[True, False]]), np.array([[False, True]])]
    first, second = front_probability(correct, [(1.0,), (1.0,)], [(0,), (0,)], 20_000)
    # Both are on the front if they tie (1/2), otherwise the one that wins (1/4 each).
    assert (first, second) == pytest.approx((0.75, 0.75), abs=0.015)
    cheap, dear = front_probability(correct, [(1.0,), (2.0,)], [(0,), (0,)], 20_000)
    assert cheap == 1.0  # nothing is as cheap
    assert dear == pytest.approx(0.25, abs=0.015)  # a tie loses against the cheaper


def test_one_training_does_not_beat_itself():
    one = planted([0.8], [(0, 1, 2)])[0]
    assert front_probability([one, one], [(1.0,), (1.0,)], [(0, 1, 2)] * 2) == [1.0, 1.0]
    # The same rows in another order are the same trainings.
    assert front_probability([one, one[[2, 0, 1]]], [(1.0,), (1.0,)], [(0, 1, 2), (2, 0, 1)]) == [1.0, 1.0]
    # As trainings of other seeds they are drawn apart.
    assert max(front_probability([one, one], [(1.0,), (1.0,)], [(0, 1, 2), (3, 4, 5)])) < 1.0


def test_what_cannot_be_placed_keeps_nobody_off():
    one, two = planted([0.5, 1.0], [(0,), (0,)])
    assert front_probability([one, two, None], [(1.0,), (None,), (0.0,)], [(0,), (0,), ()]) == [1.0, None, None]
    assert front_probability([], [], []) == []
    assert front_probability([None], [(1.0,)], [()]) == [None]


def test_the_same_input_gives_the_same_shares():
    seeds = [(0, 1)] * 3
    correct = planted([0.8, 0.8, 0.8], seeds)
    found = [front_probability(correct, [(1.0,)] * 3, seeds) for _ in range(2)]
    assert found[0] == found[1]


@pytest.mark.parametrize(("groups", "images", "limit"), [(200, 360, 4), (7, 10_000, 6)])
def test_many_groups_and_many_images_take_seconds(groups, images, limit):
    g = np.random.default_rng(0)
    easy = g.normal(2.5, 2, (1, images))
    correct = [g.random((5, images)) < 1 / (1 + np.exp(-easy)) for _ in range(groups)]
    costs = [tuple(each) for each in itertools.islice(g.random((groups, 2)).tolist(), groups)]
    start = time.process_time()
    front_probability(correct, costs, [tuple(range(5))] * groups)
    assert time.process_time() - start < limit
