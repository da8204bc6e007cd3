from dataclasses import replace

import pytest
from planted import labels, record, studies_of
from planted import study as plant

from qbench.report.model.comparison import MAX_GROUPS, Comparison
from qbench.report.model.report_model import make_report
from qbench.report.statistics.difference import Difference
from qbench.report.views.comparisons import comparisons


def planted(*pairs):
    return replace(make_report([plant()]), comparisons=pairs)


BOTH = Difference(0.0188, 0.0031, 0.0347, "seeds and images", 0.02, 0.03, 0.04, 5, 360, 0.021, 9, 700)


def test_differences_are_in_points_with_every_p_value():
    (row,) = comparisons(planted(Comparison("a", "b", BOTH, None, 0.02))).records()
    assert row.pop("result") == "distinguishable"
    assert row == {
        "first": "a",
        "second": "b",
        "test/accuracy_difference_points": pytest.approx(1.88),
        "test/accuracy_difference_points_low": pytest.approx(0.31),
        "test/accuracy_difference_points_high": pytest.approx(3.47),
        "interval_over": "seeds and images",
        "p": 0.02,
        "p_adjusted": 0.02,
        "p_seeds": 0.03,
        "p_images": 0.04,
        "detectable_points": pytest.approx(2.1),
        "seeds_needed": 9,
        "images_needed": 700,
        "seeds": 5,
        "images": 360,
    }


def test_no_difference_has_no_sign():
    none = replace(BOTH, mean=-0.0, low=-0.0, high=0.0)
    view = comparisons(planted(Comparison("a", "b", none, None, 1.0)))
    assert view.cells()[0][2:5] == ["+0.00", "+0.00", "+0.00"]


@pytest.mark.parametrize(
    ("over", "adjusted", "words"),
    [
        ("seeds and images", 0.05, "distinguishable"),
        ("seeds and images", 0.051, "not distinguishable"),
        ("images", 0.01, "distinguishable, for these trainings"),
        ("images", 0.5, "not distinguishable, for these trainings"),
        ("exact", 1.0, "not distinguishable, for these trainings"),
    ],
)
def test_the_result_in_words(over, adjusted, words):
    pair = Comparison("a", "b", replace(BOTH, over=over), None, adjusted)
    assert comparisons(planted(pair)).records()[0]["result"] == words


def test_a_pair_that_was_not_compared_says_why_and_has_no_number():
    records = [record(name, s, true=labels(seed=n)) for n, name in enumerate(("a", "b")) for s in range(3)]
    (row,) = comparisons(make_report(studies_of(records))).records()
    assert row["result"] == "withheld: they were tested on different images"
    assert {value for key, value in row.items() if key not in ("first", "second", "result")} == {None}


def test_the_notes_fit_the_pairs():
    few = replace(BOTH, over="images", detectable=None)
    text = " ".join(comparisons(planted(Comparison("a", "b", few, None, 0.5))).notes)
    assert "fewer than 3 seeds in common" in text
    assert "detectable" not in text
    text = " ".join(comparisons(planted(Comparison("a", "b", BOTH, None, 0.5), Comparison("a", "c", BOTH))).notes)
    assert "for other seeds and other images" in text
    assert text.split("; ")[1].startswith("Holm's correction is for 1 comparison p and")
    assert "in 80 % of cases" in text
    assert "fewer than" not in text


def test_without_pairs_it_says_why():
    assert comparisons(make_report(studies_of([record("a", 0)]))).missing == "there are not two groups to compare"
    many = [record(f"s{n}", 0) for n in range(MAX_GROUPS + 1)]
    view = comparisons(make_report(studies_of(many)))
    assert view.rows == ()
    assert "more than 30 groups" in view.missing
    assert len(comparisons(make_report(studies_of([*many, record("fp32", 0)]))).rows) == len(many)
