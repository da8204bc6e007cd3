import hashlib
from dataclasses import replace

from planted import record, studies_of
from planted import study as plant

from qbench.report.model.report_model import make_report
from qbench.report.views.origin import origin


def facts(*studies):
    return [(row["fact"], row["value"]) for row in origin(make_report(studies)).records()]


def test_runs_settings_seeds_and_the_file():
    found = dict(facts(plant(origin={"file": "name: planted\nmethod: grid\n"})))
    assert found["run 1"] == "2026-11-30; qbench sweep planted.yaml; qbench 0.1.0, torch 2.13.0; A processor, 2 CPUs"
    assert found["metric"] == "val/accuracy, maximize"
    assert found["seed"] == "0, 1, 2"
    assert (found["model"], found["split_seed"], found["epochs trained"]) == ("digits-convnet", "0", "3")
    assert found["trials"] == "9 planned: 9 done"
    assert found["sweep file"] == "name: planted\nmethod: grid\n"
    assert "scheme" not in found


def test_what_varies_stands_with_the_groups_that_have_it():
    records = [record("a", 0), record("b", 0, metrics={"training/epochs": 6}), record("c", 0, batch_size=32)]
    found = dict(facts(*studies_of(records)))
    assert found["epochs trained"] == "3 (a, c); 6 (b)"
    assert found["batch_size"] == "unset (a, b); 32 (c)"


def test_the_calibration_images_are_identified():
    # The planted INT8 trials calibrated on the images 3, 1, 4 and 15.
    digest = hashlib.sha256(b"3,1,4,15").hexdigest()[:16]
    assert [value for fact, value in facts(plant()) if fact == "calibration"] == [
        f"4 training images chosen with seed 0; SHA-256 of their indices, joined by commas: {digest}..."
    ]
    assert "calibration" not in dict(facts(plant({"fp32": (0.9, 900, 30.0)})))


def test_unfinished_trials_are_counted():
    study = plant(not_run=({"scheme": "fp32", "seed": 3},))
    study = replace(study, records=(*study.records, record("x", 0, status="failed")))
    assert dict(facts(study))["trials"] == "11 planned: 9 done, 1 failed, 1 not run"


def test_a_folder_of_an_earlier_version_says_what_it_lacks():
    view = origin(make_report([replace(plant(), origin={})]))
    assert view.notes[0].startswith("planted: an earlier version wrote this folder and kept neither command, versions,")
    assert "run 1" not in [row["fact"] for row in view.records()]
    assert origin(make_report([plant()])).notes == ()


def test_no_study_has_no_origin():
    assert origin(make_report([])).missing == "no study was read"
