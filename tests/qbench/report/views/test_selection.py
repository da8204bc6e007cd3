import dataclasses

import pytest
from planted import study

from qbench.report.model.report_model import make_report
from qbench.report.views.selection import blocks, bounded, by_interest, chart_note, every


def test_the_first_groups_are_one_of_each_scheme_its_reference_or_front_before_others():
    found = make_report([study()])
    wide = dataclasses.replace(found.group("binarynet"), name="wide", pareto=False)
    narrow = dataclasses.replace(wide, name="narrow", pareto=True)
    float32 = dataclasses.replace(found.group("fp32"), name="other fp32")
    groups = [wide, narrow, float32, found.group("fp32"), dataclasses.replace(found.group("int8-kl"), pareto=False)]
    # fp32 is a reference, `other fp32` is none; of binarynet's two only `narrow` is on the front.
    assert [group.name for group in by_interest(groups)] == ["fp32", "narrow", "int8-kl", "wide", "other fp32"]


def test_few_groups_keep_the_order_of_the_trials_and_those_without_rows_are_left_out():
    model = make_report([study()])
    rows = {"fp32": [("fp32", 1)], "binarynet": [], "int8-kl": [("int8-kl", 2)]}
    assert blocks(model, lambda group: rows[group.name]) == [("fp32", [("fp32", 1)]), ("int8-kl", [("int8-kl", 2)])]


def test_whole_groups_are_left_out_by_name_from_the_first_that_does_not_fit():
    groups = [("a", [("a", 0)] * 3), ("b", [("b", 0)] * 3), ("c", [("c", 0)])]
    rows, notes = bounded(groups, limit=5)
    assert rows == (("a", 0),) * 3
    assert notes == ("left out, to keep the report small: b and c; `details/` in the sweep's folder holds them",)
    assert bounded(groups, limit=7) == ((("a", 0),) * 3 + (("b", 0),) * 3 + (("c", 0),), ())


def test_a_group_that_is_too_large_alone_is_cut_and_says_so():
    rows, notes = bounded([("a", [("a", i) for i in range(9)])], limit=4, where="trials/")
    assert [row[1] for row in rows] == [0, 1, 2, 3]
    assert notes == ("a: the first 4 of 9 rows; `trials/` in its folder holds all",)


def test_a_chart_that_draws_all_needs_no_note():
    assert chart_note(["a", "b"], 2) == ()
    assert chart_note(["a", "b", "c"], 2, "layers") == ("the chart draws the first 2 of the 3 layers in the table",)


@pytest.mark.parametrize(("total", "step"), [(0, 1), (10, 1), (11, 2), (20, 2), (21, 3)])
def test_every_kth_of_many_are_at_most_ten(total, step):
    assert every(total, 10) == step
    assert len(range(0, total, step)) <= 10
