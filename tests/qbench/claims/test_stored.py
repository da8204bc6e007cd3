"""Stored results: written and read back, and everything that is not what the program wrote refused."""

import json

import numpy as np
import pytest
from stored_examples import LABELS, ORIGIN, predictions, stored_sweep, stored_trial, unfinished

import qbench.claims.stored as stored
from qbench.claims.stored import (
    StoredMeasurement,
    StoredResults,
    load_results,
    pack_correct,
    write_measurements,
    write_sweep,
)
from qbench.errors import UserError


@pytest.mark.parametrize("images", [1, 7, 8, 9, 200])
def test_one_bit_an_image(images):
    labels = LABELS[:images]
    given = [(label + (image % 3 == 0)) % 10 for image, label in enumerate(labels)]
    trial = stored.StoredTrial({}, images, pack_correct(given, labels), "")
    assert trial.correct.tolist() == [image % 3 != 0 for image in range(images)]


def test_a_sweep_comes_back_as_it_was(tmp_path):
    sweep = stored_sweep(
        stored_trial(0, 3),
        stored_trial(1, 0),
        stored_trial(2, 200),
        unfinished=(unfinished(stored_trial(), 3, "not run"),),
        same_code=False,
        note="as it was",
    )
    path = write_sweep(sweep, tmp_path / "new" / "results")
    assert path.name == "tiny.json"
    assert load_results(path.parent) == StoredResults((sweep,))
    assert [trial.error for trial in sweep.trials] == pytest.approx([1.5, 0, 100])
    assert np.array_equal(sweep.trials[0].correct, np.array(predictions(3)) == np.array(LABELS))
    assert [file.name for file in path.parent.iterdir()] == ["tiny.json"]


def test_an_unfinished_sweep_does_not_replace_one_of_more_trials(tmp_path):
    one, two = stored_trial(0, 3), stored_trial(1, 0)
    complete, rest = stored_sweep(one, two), (unfinished(one, 1, "not run"),)
    write_sweep(complete, tmp_path)
    with pytest.raises(UserError, match=r"tiny\.json: holds results of 2 trials.*finish the sweep first, or") as error:
        write_sweep(stored_sweep(one, unfinished=rest), tmp_path)
    assert "1 of 2 planned trials not run" in str(error.value)
    assert "\n" not in str(error.value)
    assert load_results(tmp_path).sweeps == (complete,)
    other = stored_sweep(one, name="tiny_so_far", unfinished=rest)
    write_sweep(other, tmp_path)
    assert load_results(tmp_path).sweeps == (complete, other)


def test_an_unfinished_sweep_replaces_one_of_no_more_trials_or_a_broken_one(tmp_path):
    one, two = stored_trial(0, 3), stored_trial(1, 0)
    equal = stored_sweep(one, two, unfinished=(unfinished(one, 2),))
    write_sweep(stored_sweep(one, two), tmp_path)
    write_sweep(equal, tmp_path)
    assert load_results(tmp_path).sweeps == (equal,)
    fewer = stored_sweep(one)  # all that its file plans now
    write_sweep(fewer, tmp_path)
    assert load_results(tmp_path).sweeps == (fewer,)
    (tmp_path / "tiny.json").write_text("{")
    write_sweep(equal, tmp_path)
    assert load_results(tmp_path).sweeps == (equal,)


def test_what_is_missing_is_counted_by_its_kind():
    one = stored_trial()
    rest = (unfinished(one, 1, "not run"), unfinished(one, 2, "failed"), unfinished(one, 3, "not run"))
    told = "1 of 4 planned trials failed, 2 of 4 planned trials not run"
    assert stored_sweep(one, unfinished=rest).missing == told
    assert stored_sweep(one).missing == ""


def test_measurements_are_added_and_replaced_by_name(tmp_path):
    one, two = StoredMeasurement({"value": 1.5}, ORIGIN), StoredMeasurement({"value": 2, "device": "cpu"}, ORIGIN)
    write_measurements({"a": one}, tmp_path)
    write_measurements({"b": one}, tmp_path)
    write_measurements({"a": two}, tmp_path)
    found = load_results(tmp_path)
    assert (found.measurement("a"), found.measurement("b"), found.measurement("c")) == (two, one, None)


def test_no_folder_no_results(tmp_path):
    assert load_results(None) == StoredResults()
    with pytest.raises(UserError, match="is no folder"):
        load_results(tmp_path / "absent")


def edited(tmp_path, edit):
    path = write_sweep(stored_sweep(stored_trial(0, 3)), tmp_path)
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return path


def accuracy(content):
    content["trials"][0]["row"]["test/accuracy"] = 0.999


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (accuracy, "was changed after qbench wrote it"),
        (lambda content: content["origin"].update(date="2020-01-01"), "was changed after qbench wrote it"),
        (lambda content: content.pop("digest"), "was changed after qbench wrote it"),
        (lambda content: content.update(format=99), "has format 99, this qbench reads format 2"),
        (lambda content: content.pop("format"), "has format None"),
        (lambda content: content.update(kind="poem"), "is no stored result"),
    ],
)
def test_a_changed_file_is_one_clear_line(tmp_path, edit, message):
    path = edited(tmp_path, edit)
    with pytest.raises(UserError, match=message) as error:
        load_results(tmp_path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"text"', "\x00"])
def test_a_broken_file_is_one_clear_line(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(UserError, match=r"bad\.json: is no") as error:
        load_results(tmp_path)
    assert "\n" not in str(error.value)


def sign(content):
    """As a forger would: the digest made anew."""
    content.pop("digest")
    content["digest"] = stored.digest(content)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (accuracy, "its accuracy is not that of its predictions"),
        (lambda content: content["trials"][0].update(right="?"), "is damaged"),
        (lambda content: content["trials"][0].pop("right"), "is damaged"),
        (lambda content: content.pop("trials"), "is damaged"),
        (lambda content: content.pop("origin"), "is damaged"),
    ],
)
def test_a_file_that_does_not_fit_together_is_refused(tmp_path, edit, message):
    edited(tmp_path, lambda content: (edit(content), sign(content)))
    with pytest.raises(UserError, match=message):
        load_results(tmp_path)


def test_what_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_sweep(stored_sweep(), tmp_path / "file")
