import dataclasses

import pytest
from planted import study

from qbench.report.model.report_model import make_report
from qbench.report.views.most_repeated_filters import most_repeated_filters
from qbench.report.views.repeated_filters import repeated_filters


def planted(fractions, most=()):
    """A study of binarynet and fp32, whose binary layer has a unique fraction for each seed."""
    made = study({"fp32": (0.9, 1, 1.0), "binarynet": (0.9, 1, 1.0)}, seeds=range(len(fractions)))
    kept = {}
    for record in made.records:
        found = made.details[record.trial_id]
        filters = [{**each, "unique_fraction": fractions[record.row["seed"]]} for each in found.filters]
        if most:
            filters = [{**each, "most": list(most)} for each in filters]
        kept[record.trial_id] = dataclasses.replace(found, filters=filters)
    return make_report([dataclasses.replace(made, details=kept)])


def test_a_layer_is_the_mean_and_range_of_the_seeds_beside_random_weights():
    (row,) = repeated_filters(planted([0.5, 0.75, 0.7])).rows
    assert row == ("binarynet", "conv1", 48, 16, 9, pytest.approx(0.65), 0.5, 0.75, 0.87, 3)


@pytest.mark.parametrize(("share", "chance"), [(0.87, True), (0.865, True), (0.855, False)])
def test_less_than_random_weights_by_chance_alone_is_said(share, chance):
    # Drawn layers of 48 filters for each of 16 maps have a standard deviation of 0.0093; four of them: 0.0047.
    notes = repeated_filters(planted([share] * 4)).notes
    assert any("may have by chance (two standard errors): binarynet conv1" in note for note in notes) == chance


def test_the_most_repeated_filters_are_ranked_with_their_share_of_all():
    most = [{"bits": "110", "rows": 1, "columns": 3, "count": 96}, {"bits": "101", "rows": 1, "columns": 3, "count": 8}]
    found = most_repeated_filters(planted([0.5, 0.6], most))
    # 48 filters for each of 16 input maps: 768.
    assert found.rows == (
        ("binarynet", "conv1", 1, 96, 0.125, 1, 3, "110", 0),
        ("binarynet", "conv1", 2, 8, 8 / 768, 1, 3, "101", 0),
    )


def test_at_most_twelve_filters_of_a_layer():
    most = [{"bits": f"{i:04b}", "rows": 2, "columns": 2, "count": 20 - i} for i in range(15)]
    assert [row[2] for row in most_repeated_filters(planted([0.5], most)).rows] == [*range(1, 13)]


@pytest.mark.parametrize("view", [repeated_filters, most_repeated_filters])
def test_without_binary_convolutions_it_says_so(view):
    assert view(make_report([study({"fp32": (0.9, 1, 1.0)})])).missing == "no scheme here has binary convolutions"
