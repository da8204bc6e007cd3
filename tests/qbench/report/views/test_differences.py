import numpy as np
import pytest
from planted import labels, record, studies_of, study

from qbench.report.model.report_model import make_report
from qbench.report.views.differences import differences


@pytest.mark.parametrize("order", [("fp32", "binarynet"), ("binarynet", "fp32")])
def test_the_difference_is_the_group_minus_its_reference(order):
    accuracies = {"fp32": 0.95, "binarynet": 0.85}
    made = study({name: (accuracies[name], 1000, 1.0) for name in order}, images=200)
    (row,) = differences(make_report([made])).records()
    right = {
        name: np.array([[p == t for p, t in zip(r.predictions, r.labels, strict=True)] for r in made.records
                        if r.row["scheme"] == name])
        for name in order
    }  # fmt: skip
    assert (row["group"], row["reference"]) == ("binarynet", "fp32")
    expected = 100 * (right["binarynet"].mean() - right["fp32"].mean())
    assert row["difference/points"] == pytest.approx(expected) == pytest.approx(-10)
    assert row["difference/points_low"] < expected < row["difference/points_high"]
    assert row["difference/distinguishable"] is (row["difference/p_adjusted"] <= 0.05)


def test_equal_predictions_differ_by_zero_not_minus_zero():
    true = labels()
    same = [record(name, seed, 0.9, true) for name in ("fp32", "twin") for seed in range(3)]
    (row,) = differences(make_report(studies_of(same))).records()
    view = differences(make_report(studies_of(same)))
    assert row["difference/distinguishable"] is False
    assert view.cells()[0][2] == "+0.00"


def test_a_group_without_a_seed_in_common_is_named():
    true = labels()
    records = [
        *(record("fp32", seed, 0.9, true) for seed in (0, 1)),
        *(record("near", seed, 0.8, true) for seed in (0, 1)),
        record("far", 7, 0.8, true),
    ]
    view = differences(make_report(studies_of(records)))
    assert [row["group"] for row in view.records()] == ["near"]
    assert view.notes == ("far: no difference, because they have no seed in common",)


def test_why_there_are_no_rows():
    def missing(*records):
        return differences(make_report(studies_of(list(records)))).missing

    assert missing(record("a", 0, status="failed")) == "no trial is done"
    assert missing(record("fp32", 0)).startswith("all trials are float32")
    assert "add `fp32` to the sweep's schemes" in missing(record("a", 0))
