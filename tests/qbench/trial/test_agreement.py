"""When packed predictions that differ are a failed check."""

import pytest

from qbench.trial.agreement import AGREEMENT, AGREEMENT_TOLERANCE, agreement_fault


@pytest.mark.parametrize(
    ("wrong", "images", "fails"),
    [
        (0, 360, False),
        (1, 360, False),  # 1.8 images are half a percent
        (2, 360, True),
        (1, 20, False),  # one image is 5 % of them
        (2, 20, True),
        (6, 10_000, False),  # the most that an integer chain has shown
        (50, 10_000, False),
        (51, 10_000, True),
        (227, 360, True),
    ],
)
def test_half_a_percent_and_one_image_may_differ(wrong, images, fails):
    found = agreement_fault({AGREEMENT: (images - wrong) / images}, images)
    assert (found is not None) == fails
    if fails:
        assert f"({wrong:,} of {images:,} differ)" in found


def test_the_share_alone_decides_where_the_number_of_images_is_not_known():
    assert AGREEMENT_TOLERANCE == 0.005
    assert agreement_fault({AGREEMENT: 0.995}) is None
    assert "predicts 36.94 % of the test images" in agreement_fault({AGREEMENT: 0.3694})
    assert "expected at least 99.50 %" in agreement_fault({AGREEMENT: 0.9949})


def test_nothing_can_disagree_where_nothing_ran_packed():
    assert agreement_fault({AGREEMENT: None}, 360) is None
    assert agreement_fault({}, 360) is None
