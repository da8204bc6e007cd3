import pytest

from qbench.report.charts.panels import legend, panel_name, panelled


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


def test_a_legend_has_as_many_columns_as_its_longest_name_allows():
    # 640 pixels of names with 7 a letter and 40 for the symbol: 4 at most.
    assert legend(["fp32"])["columns"] == 4
    assert legend(["a", "x" * 30])["columns"] == 2
    assert legend(["x" * 200])["columns"] == 1
