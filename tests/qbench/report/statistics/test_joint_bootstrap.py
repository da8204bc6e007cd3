import numpy as np
import pytest

from qbench.report.statistics.joint_bootstrap import joint_draws


def planted(accuracy, trainings=3, images=200, seed=0):
    return np.random.default_rng(seed).random((trainings, images)) < accuracy


def test_equal_groups_with_equal_seeds_are_equal_in_every_draw():
    one = planted(0.9)
    first, second = joint_draws([one, one], [(0, 1, 2)] * 2, 500)
    assert (first == second).all()
    assert first.std() > 0


def test_rows_are_matched_by_their_seed():
    one = planted(0.9)
    first, second = joint_draws([one, one[[2, 0, 1]]], [(0, 1, 2), (2, 0, 1)], 500)
    assert first == pytest.approx(second)


def test_other_seeds_are_drawn_apart_but_the_images_are_the_same():
    one = planted(0.9)
    alike, apart = joint_draws([one, one], [(0, 1, 2), (3, 4, 5)], 4_000)
    assert (alike != apart).any()
    assert np.corrcoef(alike, apart)[0, 1] > 0.15


def test_a_draw_is_one_of_seeds_and_images_with_replacement():
    one, generator = planted(0.85, trainings=4), np.random.default_rng(5)
    plain = [
        one[generator.integers(0, 4, 4)][:, generator.integers(0, 200, 200)].mean() for _ in range(20_000)
    ]  # seed by seed and image by image, as the words say
    drawn = joint_draws([one], [(0, 1, 2, 3)], 20_000)[0]
    assert drawn.mean() == pytest.approx(np.mean(plain), abs=1e-3)
    assert drawn.std() == pytest.approx(np.std(plain), rel=0.03)


@pytest.mark.parametrize(
    ("correct", "seeds"),
    [([planted(0.9), planted(0.9, images=100)], [(0, 1, 2)] * 2), ([planted(0.9)], [(0, 1)])],
)
def test_other_images_and_missing_seeds_are_refused(correct, seeds):
    with pytest.raises(ValueError, match="same images"):
        joint_draws(correct, seeds, 10)
