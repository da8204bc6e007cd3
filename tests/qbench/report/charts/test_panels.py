import pytest

from qbench.report.charts.panels import epochs, legend, panel_name, panelled


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (["binarynet", "fc1"], "binarynet · fc1"),
        (["binarynet-stochastic", "features.0"], "binarynet-stochastic\nfeatures.0"),
        (["binarynet model_options.width=32", "fc1"], "binarynet model_\noptions.width=32\nfc1"),
        (["averyveryverylongnamewithoutabreak"], "averyveryverylongnamewithoutabreak"),
    ],
)
def test_names_that_do_not_fit_are_broken_and_lose_no_letter(parts, name):
    assert panel_name(parts, width=140) == name  # 20 letters


def test_rows_of_the_first_panels_are_kept_and_the_first_of_each_is_marked():
    rows = [{"group": group, "layer": layer} for group in "ab" for layer in "xy" for _ in range(2)]
    shown, names = panelled(rows, 3, 140, "group", "layer")
    assert names == ["a · x", "a · y", "b · x"]
    assert [(row["panel"], row["first"]) for row in shown] == [
        (name, first) for name in names for first in (True, False)
    ]


def test_long_names_in_a_legend_stand_below_each_other_and_are_whole():
    assert legend(["fp32", "x" * 25], symbolType="stroke") == {"symbolType": "stroke"}
    assert legend(["fp32", "x" * 26]) == {"columns": 1, "labelLimit": 0}


@pytest.mark.parametrize(
    ("last", "ticks"),
    [
        (1, [1]),
        (3, [1, 2, 3]),
        (10, [*range(1, 11)]),
        (11, [2, 4, 6, 8, 10]),
        (30, [5, 10, 15, 20, 25, 30]),
        (60, [10, 20, 30, 40, 50, 60]),
        (500, [*range(50, 501, 50)]),
    ],
)
def test_ticks_are_whole_epochs(last, ticks):
    assert epochs(last).to_dict()["axis"]["values"] == ticks
