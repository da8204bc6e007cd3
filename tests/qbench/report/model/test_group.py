from dataclasses import replace

import numpy as np
import pytest
from planted import labels, predictions, record, studies_of
from planted import study as plant

from qbench.report.model.group import ReportError, make_groups, study_label


def groups_of(records):
    return {group.name: group for group in make_groups(studies_of(records))[0]}


def test_correct_is_by_seed_in_the_order_asked_for():
    true = labels()
    group = groups_of([record("fp32", seed, 0.9, true) for seed in (2, 0, 1)])["fp32"]
    expected = np.asarray(predictions(true, 0.9, 1)) == np.asarray(true)
    np.testing.assert_array_equal(group.correct([1]), expected[None])
    assert group.correct().shape == (3, 100)
    assert group.seeds == (2, 0, 1)


def test_two_sweeps_of_one_scheme_are_two_groups():
    first, second = plant(name="first"), plant(name="second")
    groups, varying = make_groups([first, second])
    assert varying == ("folder",)
    assert [group.name for group in groups][:4:3] == ["fp32 folder=first", "fp32 folder=second"]
    assert all(group.runs == 3 for group in groups)


def test_sweeps_of_one_name_are_told_apart_by_their_folders():
    first = plant(name="same")
    second = replace(plant(name="same"), folder=first.folder / "elsewhere")
    names = [group.name for group in make_groups([first, second])[0]]
    assert "fp32 folder=same" in names
    assert "fp32 folder=same/elsewhere" in names


def test_planned_trials_without_a_record_are_counted_in_their_group():
    made = plant(seeds=(0, 1), not_run=({"scheme": "fp32", "seed": 2, **plant_config()}, {"scheme": "new", "seed": 0}))
    groups = {group.name: group for group in make_groups([made])[0]}
    # The planned trial of another configuration: what is unknown of it varies.
    assert sum(group.not_run for group in groups.values()) == 2
    new = next(group for group in groups.values() if group.scheme == "new")
    assert (new.runs, new.accuracy, new.labels) == (0, None, [])


def plant_config():
    row = plant().records[0].row
    return {key: row[key] for key in ("model", "data", "split_seed", "epochs")}


def test_the_first_details_are_those_of_the_lowest_seed_that_has_them():
    made = plant(seeds=(2, 1, 0))
    lowest = next(r.trial_id for r in made.records if (r.row["scheme"], r.row["seed"]) == ("fp32", 0))
    made.details.pop(lowest)
    group = next(group for group in make_groups([made])[0] if group.name == "fp32")
    trial, details = group.first_details()
    assert trial.row["seed"] == 1
    assert details is made.details[trial.trial_id]


def test_trials_of_one_group_on_different_images_have_no_common_mean():
    with pytest.raises(ReportError, match="seeds 0 and 1 were tested on different images"):
        groups_of([record("fp32", 0, true=labels(seed=0)), record("fp32", 1, true=labels(seed=1))])


def test_folders_of_equal_names_elsewhere_are_numbered(tmp_path):
    studies = [replace(plant(name="same"), folder=tmp_path.parent / place / "run") for place in "ab"]
    assert [study_label(each, studies) for each in studies] == ["run (1)", "run (2)"]


def test_two_trials_of_one_group_and_seed_are_refused():
    first = record("fp32", 0)
    again = replace(first, trial_id="again", row={**first.row, "trial_id": "again"})
    with pytest.raises(ReportError, match=r"^fp32: trials .* and again have the same settings and the seed 0"):
        make_groups(studies_of([first, again]))


def test_one_trial_twice_in_a_group_is_refused():
    with pytest.raises(ReportError, match="have the same settings and the seed 4: one training would count twice"):
        groups_of([record("fp32", 4)] * 2)
