import pytest

from qbench.report.model.wording import listed, number_of, percent, points, share


@pytest.mark.parametrize(
    ("items", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_lists(items, text):
    assert listed(items) == text


def test_a_long_list_is_counted():
    assert listed([str(n) for n in range(13)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more"


def test_numbers_of_things():
    assert (number_of(1, "seed"), number_of(1200, "image")) == ("1 seed", "1,200 images")


@pytest.mark.parametrize(
    ("fraction", "text"),
    [
        (1.0, "100.00 %"),
        (0.99999, "more than 99.99 %"),
        (0.98944, "98.94 %"),
        (0.00001, "less than 0.01 %"),
        (0, "0.00 %"),
    ],
)
def test_nothing_is_rounded_to_all_or_nothing(fraction, text):
    assert percent(fraction) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(1.0, "100 %"), (0.999, "more than 99 %"), (0.934, "93 %"), (0.004, "less than 1 %"), (0, "0 %")],
)
def test_shares_of_draws(fraction, text):
    assert share(fraction) == text


@pytest.mark.parametrize(
    ("fraction", "text"), [(0.0188, "+1.88"), (-0.0188, "-1.88"), (0.0, "0.00"), (-0.00001, "0.00")]
)
def test_points_have_a_sign_unless_they_are_none(fraction, text):
    assert points(fraction) == text
