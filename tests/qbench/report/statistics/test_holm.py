import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from qbench.report.statistics.holm import holm


@pytest.mark.parametrize("count", [1, 2, 7, 435])
def test_adjusted_values_are_those_of_statsmodels(count):
    p = np.random.default_rng(count).random(count) ** 4
    assert holm(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1].tolist())


def test_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_what_was_not_tested_does_not_count():
    assert holm([0.02, None, 0.04]) == pytest.approx([0.04, None, 0.04])
    assert holm([None]) == [None]


def test_equal_values_are_adjusted_alike():
    assert holm([0.02, 0.02, 0.02]) == pytest.approx([0.06] * 3)
