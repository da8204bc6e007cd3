import dataclasses

import pytest
from planted import study

from qbench.report.model.report_model import make_report
from qbench.report.views.flips import flips


def test_a_row_is_the_mean_of_the_seeds_for_a_layer_and_an_epoch():
    made = study(seeds=(0, 1))
    shares = {0: [0.4, 0.1, None], 1: [0.2, 0.3, 0.05]}
    kept = {}
    for record in made.records:
        found = made.details[record.trial_id]
        if record.row["scheme"] == "binarynet":
            history = {"epoch": [1.0, 2.0, 3.0], "flips/conv1": shares[record.row["seed"]], "flips/fc1.0": [0.0] * 3}
            found = dataclasses.replace(found, history=history)
        kept[record.trial_id] = found
    found = flips(make_report([dataclasses.replace(made, details=kept)]))
    assert found.rows == (
        ("binarynet", "conv1", 1, pytest.approx(0.3), 2),
        ("binarynet", "conv1", 2, pytest.approx(0.2), 2),
        ("binarynet", "conv1", 3, pytest.approx(0.05), 1),
        *(("binarynet", "fc1.0", epoch, 0.0, 2) for epoch in (1, 2, 3)),
    )


def test_without_binary_weights_there_is_nothing_to_flip():
    found = flips(make_report([study({"fp32": (0.9, 1, 1.0)})]))
    assert (found.rows, found.missing) == ((), "no scheme here has binary weights")


def test_records_of_an_earlier_version_are_told_from_schemes_without_binary_weights():
    made = study({"fp32": (0.9, 1, 1.0), "binarynet": (0.9, 1, 1.0)})
    kept = {r.trial_id: made.details[r.trial_id] for r in made.records if r.row["scheme"] == "fp32"}
    found = flips(make_report([dataclasses.replace(made, details=kept)]))
    assert found.missing == (
        "no scheme here has binary weights; the records of binarynet were written by an earlier version, which kept "
        "no details"
    )
