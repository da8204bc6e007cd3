from itertools import product

import numpy as np
import pytest

from qbench.report.statistics.random_filters import random_spread


@pytest.mark.parametrize(("filters", "size"), [(2, 1), (2, 2), (3, 2), (4, 3), (2, 3)])
def test_all_layers_of_one_map_counted_one_by_one(filters, size):
    shares = [len(set(each)) / filters for each in product(range(2 ** (size - 1)), repeat=filters)]
    assert random_spread(filters, 1, size) == pytest.approx(np.std(shares))


@pytest.mark.parametrize(("filters", "maps"), [(48, 1), (48, 48), (96, 48)])
def test_drawn_layers_of_3x3_filters(filters, maps):
    generator = np.random.default_rng(0)
    drawn = np.sort(generator.integers(0, 256, (1000, maps, filters)), axis=-1)
    shares = ((np.diff(drawn, axis=-1) > 0).sum(axis=-1) + 1).mean(axis=-1) / filters
    assert random_spread(filters, maps, 9) == pytest.approx(shares.std(), rel=5 / (2 * 1000) ** 0.5)


def test_many_values_seldom_collide():
    # Of 2^48 values 64 draws have 2016 pairs, each alike with probability 2^-48: a Poisson number of repetitions.
    assert random_spread(64, 1, 49) == pytest.approx((2016 / 2**48) ** 0.5 / 64, rel=1e-6)
