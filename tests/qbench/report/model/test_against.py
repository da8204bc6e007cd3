"""What the comparison with one group says of seeds, of settings and of several folders."""

from dataclasses import replace
from pathlib import Path

from planted import labels, record, studies_of, study

from qbench.report.model.report_model import make_report
from qbench.report.model.verdict import verdict
from qbench.report.views.overview import overview


def text(records):
    return " ".join(verdict(make_report(studies_of(records))))


def widths(scheme, accuracies, true):
    return [
        record(scheme, seed, accuracy, true, **{"model_options.width": width})
        for width, accuracy in accuracies.items()
        for seed in (0, 1, 2)
    ]


def test_a_group_without_a_float32_group_of_its_settings_is_said_to_be_held_against_others():
    true = labels(200)
    records = widths("fp32", {8: 0.90, 16: 0.95}, true) + widths("binarynet", {16: 0.90, 64: 0.96}, true)
    said = "No float32 group has the settings of binarynet width=64: fp32 width=8 differs"
    assert said in text(records)
    assert "No float32 group" not in text([each for each in records if each.row["model_options.width"] == 16])


def test_the_options_of_a_scheme_are_no_other_settings():
    records = [record("fp32", seed, 0.9) for seed in (0, 1, 2)]
    records += [record("binarynet", s, 0.8, **{"scheme_options.first_layer": f}) for f in "ab" for s in (0, 1, 2)]
    assert "No float32 group" not in text(records)


def test_groups_of_three_seeds_of_which_they_have_one_in_common():
    records = [record("fp32", seed, 0.99) for seed in (0, 1, 2)] + [record("binarynet", s, 0.95) for s in (2, 3, 4)]
    assert "There is 1 seed in common, fewer than 3: nothing is said of other seeds." in text(records)


def test_groups_of_two_seeds_of_which_they_have_one_in_common():
    records = [record("fp32", seed, 0.99) for seed in (0, 1)] + [record("binarynet", s, 0.95) for s in (1, 2)]
    assert "There is 1 seed in common, fewer than 3: nothing is said of other seeds." in text(records)


def test_one_seed_each_is_not_called_one_in_common():
    found = " ".join(verdict(make_report([study(seeds=(0,))])))
    assert "There is 1 seed, fewer than 3" in found
    assert "bootstrap draws, which with 1 seed say nothing of other seeds)" in found


def test_the_share_of_draws_says_what_few_seeds_leave_out():
    def note(seeds):
        return next(each for each in overview(make_report([study(seeds=seeds)])).notes if each.startswith("Pareto"))

    assert "which with 2 seeds say little of other seeds" in " ".join(verdict(make_report([study(seeds=(0, 1))])))
    assert note((0, 1)).endswith("where fewer than 3 seeds say next to nothing of other seeds")
    assert note((0, 1, 2)).endswith("in which that holds")


def test_a_loss_over_test_images_alone_says_so():
    # Right on the same images in all seeds: 1 - 0.025^(1/100) = 3.62 %, over images alone.
    found = " ".join(verdict(make_report([study({"fp32": (0.99, 900, 30.0), "int8-kl": (0.99, 225, 4.0)})])))
    assert "3.62 points over test images alone (int8-kl)" in found


def test_two_folders_with_the_same_trials_share_no_training_and_keep_their_own_details():
    first = replace(study(name="a"), details={})
    second = replace(study(name="b"), folder=Path("b"))
    model = make_report([first, second])
    assert [len(group.details) for group in model.groups] == [0, 0, 0, 3, 3, 3]
    assert all(group.shares_training == () for group in model.groups)
