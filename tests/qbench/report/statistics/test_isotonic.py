import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from qbench.report.statistics.isotonic import isotonic


def test_adjacent_violators_are_pooled_by_hand():
    # 3 and 1 fall: their mean is 2, which the 4 stays above.
    assert isotonic(np.array([1.0, 3.0, 1.0, 4.0]), np.ones(4)).tolist() == pytest.approx([1, 2, 2, 4])
    # The second counts three times: (3·3 + 1)/4.
    assert isotonic(np.array([1.0, 3.0, 1.0, 4.0]), np.array([1.0, 3.0, 1.0, 1.0])).tolist() == [1, 2.5, 2.5, 4]


@pytest.mark.parametrize("seed", range(5))
def test_it_is_scikit_learns(seed):
    generator = np.random.default_rng(seed)
    values, weights = generator.random((50, 7)), generator.integers(1, 6, 7).astype(float)
    expected = [IsotonicRegression().fit(np.arange(7), row, weights).predict(np.arange(7)) for row in values]
    assert np.abs(isotonic(values, weights) - expected).max() < 1e-12


def test_a_rising_row_stays_as_it_is_to_the_bit():
    values = np.random.default_rng(0).random((20, 6)).cumsum(axis=1)
    assert (isotonic(values, np.array([3.0, 1.0, 3.0, 2.0, 7.0, 1.0])) == values).all()


def test_every_fit_rises():
    fit = isotonic(np.random.default_rng(1).random((200, 9)), np.ones(9))
    assert (np.diff(fit, axis=1) >= 0).all()
