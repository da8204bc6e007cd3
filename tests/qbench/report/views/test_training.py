import dataclasses

import numpy as np
import pytest
from planted import details, study

from qbench.report.model.report_model import make_report
from qbench.report.views.training import curves, training_accuracy, training_loss


def replanted(made, change):
    """The study with details replaced by `change(record, details)`; None takes them away."""
    kept = {record.trial_id: change(record, made.details[record.trial_id]) for record in made.records}
    return dataclasses.replace(made, details={name: found for name, found in kept.items() if found is not None})


def with_history(made, histories):
    """The study whose trials of seed s have the s-th history."""
    return replanted(made, lambda record, found: dataclasses.replace(found, history=histories[record.row["seed"]]))


def test_a_row_is_the_mean_the_lowest_and_the_highest_of_the_seeds():
    losses = np.array([[2.0, 1.0, 0.5], [3.0, 1.5, 0.25], [1.0, 1.1, 0.75]])
    made = with_history(
        study({"fp32": (0.9, 1, 1.0)}),
        [{"epoch": [1.0, 2.0, 3.0], "train/loss": row.tolist(), "val/accuracy": [0.5] * 3} for row in losses],
    )
    found = training_loss(make_report([made]))
    assert [row[:2] for row in found.rows] == [("fp32", 1), ("fp32", 2), ("fp32", 3)]
    expected = np.stack([losses.mean(0), losses.min(0), losses.max(0)], axis=1)
    np.testing.assert_allclose([row[2:5] for row in found.rows], expected, rtol=1e-12)
    assert {row[5] for row in found.rows} == {3}
    assert found.missing is None


def test_an_epoch_counts_only_the_seeds_that_have_it():
    histories = [
        {"epoch": [1.0, 2.0], "val/accuracy": [0.2, 0.4], "train/loss": [1.0, 1.0]},
        {"epoch": [1.0, 2.0], "val/accuracy": [0.4, None], "train/loss": [1.0, 1.0]},
        {"epoch": [1.0], "val/accuracy": [0.9], "train/loss": [1.0]},
    ]
    found = training_accuracy(make_report([with_history(study({"fp32": (0.9, 1, 1.0)}), histories)]))
    assert [row[2:6] for row in found.rows] == [(pytest.approx(0.5), 0.2, 0.9, 3), (0.4, 0.4, 0.4, 1)]


def test_of_many_epochs_every_kth_and_the_last_are_shown_and_said():
    made = replanted(study({"fp32": (0.9, 1, 1.0)}), lambda record, _: details("fp32", record.row["seed"], epochs=250))
    found = training_loss(make_report([made]))
    assert [row[1] for row in found.rows] == [*range(1, 251, 3)]  # 250 = 1 + 83 · 3
    assert any("more than 100 epochs" in note for note in found.notes)
    longer = replanted(made, lambda record, _: details("fp32", record.row["seed"], epochs=252))
    assert [row[1] for row in training_loss(make_report([longer])).rows][-2:] == [250, 252]


def share(made, *schemes):
    """The study whose trials of these schemes with the same seed share their training."""
    records = tuple(
        dataclasses.replace(each, row={**each.row, "training_key": f"shared-{each.row['seed']}"})
        if each.row["scheme"] in schemes
        else each
        for each in made.records
    )
    return dataclasses.replace(made, records=records)


def test_a_shared_training_is_said_and_drawn_once():
    found = training_accuracy(make_report([share(study(), "fp32", "int8-kl")]))
    assert {row[0]: row[-1] for row in found.rows} == {"fp32": "int8-kl", "binarynet": None, "int8-kl": "fp32"}
    assert "one curve for fp32 and int8-kl, which share their trainings" in found.notes
    assert curves(found.rows) == ["fp32", "binarynet"]


def test_trainings_that_are_shared_in_part_are_two_curves():
    made = share(study(), "fp32", "int8-kl")
    lost = next(r.trial_id for r in made.records if r.row["scheme"] == "int8-kl")
    found = training_accuracy(
        make_report([dataclasses.replace(made, details={k: v for k, v in made.details.items() if k != lost})])
    )
    assert curves(found.rows) == ["fp32", "binarynet", "int8-kl"]


def test_without_details_the_view_says_why():
    found = training_accuracy(make_report([dataclasses.replace(study(), details={})]))
    assert found.rows == ()
    assert found.notes == ()
    assert found.missing == (
        "these records were written by an earlier version, which kept no details; run the sweep again"
    )


def test_a_group_without_details_is_named():
    made = replanted(study(), lambda record, found: None if record.row["scheme"] == "fp32" else found)
    found = training_accuracy(make_report([made]))
    assert {row[0] for row in found.rows} == {"binarynet", "int8-kl"}
    assert any(note.startswith("not shown: fp32, whose records were written by an earlier") for note in found.notes)
