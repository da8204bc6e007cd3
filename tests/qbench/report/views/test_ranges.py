import dataclasses

import pytest
from planted import study

from qbench.report.model.report_model import make_report
from qbench.report.views.divergence import divergence
from qbench.report.views.ranges import ranges

KL = {
    "layer": "conv1", "method": "kl", "low": 0.0, "high": 3.02, "edge_low": 0.0, "edge_high": 4.0,
    "counts": [6, 3, 0, 1], "divergence": {"threshold": [1.0, 2.0, 3.0, 4.0], "kl": [0.5, 0.1, 0.05, 0.2]},
}  # fmt: skip
EXTREMES = {
    "layer": "fc1", "method": "minmax", "low": -1.0, "high": 1.0, "edge_low": -0.9, "edge_high": 1.0, "counts": [],
    "divergence": None,
}  # fmt: skip


def planted(*found):
    made = study()
    kept = {
        r.trial_id: dataclasses.replace(made.details[r.trial_id], ranges=list(found) if r.row["seed"] == 0 else [])
        for r in made.records
        if r.row["scheme"] == "int8-kl"
    }
    return make_report([dataclasses.replace(made, details={**made.details, **kept})])


def test_the_bins_of_a_layer_that_are_not_empty_with_the_range_chosen():
    found = ranges(planted(KL))
    assert found.rows == (
        ("int8-kl", "conv1", "kl", 0.0, 3.02, 0.0, 1.0, 0.6, 0),
        ("int8-kl", "conv1", "kl", 0.0, 3.02, 1.0, 2.0, 0.3, 0),
        ("int8-kl", "conv1", "kl", 0.0, 3.02, 3.0, 4.0, 0.1, 0),
    )
    assert found.notes == ()


def test_extremes_alone_have_no_share_and_are_named():
    found = ranges(planted(KL, EXTREMES))
    assert found.rows[-1] == ("int8-kl", "fc1", "minmax", -1.0, 1.0, -0.9, 1.0, None, 0)
    assert found.notes == ("no histogram of int8-kl fc1: this method observes the lowest and the highest value alone",)
    assert "no histogram of int8-kl: this" in ranges(planted(EXTREMES)).notes[0]


def test_the_candidate_nearest_to_the_threshold_in_use_is_chosen():
    found = divergence(planted(KL, EXTREMES))
    assert found.rows == (
        ("int8-kl", "conv1", 1.0, 0.5, False, 0),
        ("int8-kl", "conv1", 2.0, 0.1, False, 0),
        ("int8-kl", "conv1", 3.0, 0.05, True, 0),
        ("int8-kl", "conv1", 4.0, 0.2, False, 0),
    )


def test_a_negative_end_counts_with_its_magnitude():
    symmetric = {**KL, "low": -2.0, "high": 1.98}
    assert [row[2] for row in divergence(planted(symmetric)).rows if row[4]] == [2.0]


def test_of_many_candidates_the_chosen_is_kept():
    values = {"threshold": [float(i) for i in range(500)], "kl": [1.0 + abs(i - 333) for i in range(500)]}
    rows = divergence(planted({**KL, "low": 0.0, "high": 333.0, "divergence": values})).rows
    assert len(rows) <= 131
    assert [(row[2], row[3]) for row in rows if row[4]] == [(333.0, 1.0)]


@pytest.mark.parametrize(
    ("view", "why"),
    [
        (ranges, "no scheme here calibrates its inputs"),
        (divergence, "no scheme here is calibrated with the kl method"),
    ],
)
def test_without_calibration_it_says_so(view, why):
    found = view(make_report([study({"fp32": (0.9, 1, 1.0)})]))
    assert (found.rows, found.notes, found.missing) == ((), (), why)
