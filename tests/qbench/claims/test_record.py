"""A run folder made a stored result."""

import json
import os
import re
import socket
from types import SimpleNamespace

import pytest
from stored_examples import LABELS, SWEEP, predictions

import qbench.claims.record as record_module
from qbench.claims.record import record
from qbench.claims.stored import load_results, write_sweep
from qbench.errors import UserError
from qbench.report.commands.machine_facts import machine_text
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import resolve


def paths(run_folder):
    return run_folder, run_folder.parents[1] / "tiny.yaml"


def test_the_finished_trials_are_kept(run_folder, tmp_path):
    for path in (run_folder / "trials").glob("*.json"):
        os.utime(path, (1_000_000, 1_000_000))
    os.utime(run_folder / "trials" / f"{2:016x}.json", (86_400 * 365 + 43_200,) * 2)
    os.utime(run_folder / "trials" / f"{3:016x}.json", (86_400 * 800,) * 2)  # failed: not one of the result's
    sweep = record(run_folder, tmp_path / "tiny.yaml")
    assert (sweep.name, len(sweep.trials)) == ("tiny", 3)
    (failed,) = sweep.unfinished
    assert (failed.status, failed.row["scheme"], failed.row["seed"]) == ("failed", "fp32", 1)
    assert sweep.origin.date == "1971-01-01"
    assert sweep.origin.command == "qbench sweep tiny.yaml"
    first = sweep.trials[0]
    assert (first.row["scheme"], first.row["seed"], first.row["epochs"]) == ("binarynet", 0, 3)
    assert first.row["cost/weight_bytes"] == 10
    assert "cost/energy_uj" not in first.row  # an estimate that no claim about trainings needs
    assert first.correct.tolist() == [a == b for a, b in zip(predictions(1), LABELS, strict=True)]
    write_sweep(sweep, tmp_path / "results")
    assert load_results(tmp_path / "results").sweeps == (sweep,)


def test_what_the_file_plans_and_nobody_ran_is_not_run(run_folder, tmp_path):
    (tmp_path / "tiny.yaml").write_text(SWEEP.replace("seed: {values: [0, 1]}", "seed: {values: [0, 1, 2]}"))
    found = {(trial.row["scheme"], trial.row["seed"]): trial.status for trial in record(*paths(run_folder)).unfinished}
    assert found == {("fp32", 1): "failed", ("binarynet", 2): "not run", ("fp32", 2): "not run"}


def test_a_sweep_can_be_recorded_before_its_end(run_folder, tmp_path):
    # As after the second trial of four: `qbench sweep` gives the others a row that says so.
    results = json.loads((run_folder / "results.json").read_text())
    for row in results[2:]:
        row |= {"status": "not run", "error": None}
        (run_folder / "trials" / f"{row['trial_id']}.json").unlink()
    (run_folder / "results.json").write_text(json.dumps(results))
    sweep = record(*paths(run_folder))
    assert [(trial.row["scheme"], trial.row["seed"]) for trial in sweep.trials] == [("binarynet", 0), ("binarynet", 1)]
    assert {(trial.row["scheme"], trial.status) for trial in sweep.unfinished} == {("fp32", "not run")}
    assert sweep.missing == "2 of 4 planned trials not run"


@pytest.mark.parametrize("stale", ["not run", "failed"])
def test_a_trial_that_ended_after_the_rows_were_written_is_kept(run_folder, tmp_path, stale):
    # Killed between the trial's file and results.json, or recorded at that moment; `failed`: it was tried again.
    complete = record(*paths(run_folder))
    results = json.loads((run_folder / "results.json").read_text())
    bare = {key: value for key, value in results[1].items() if "/" not in key}
    results[1] = bare | {"status": stale, "error": None}
    results[3] |= {"status": "not run", "error": None}  # its record says that it failed
    (run_folder / "results.json").write_text(json.dumps(results))
    assert record(*paths(run_folder)) == complete


def test_other_sources_than_those_that_trained_are_noticed(run_folder, tmp_path):
    assert not record(*paths(run_folder)).same_code  # made up here: its identities are of no code
    results = json.loads((run_folder / "results.json").read_text())
    for row in results:
        old = run_folder / "trials" / f"{row['trial_id']}.json"
        content = json.loads(old.read_text())
        config = TrialConfig(scheme=row["scheme"], seed=row["seed"], epochs=3)
        row["trial_id"] = content["trial_id"] = content["row"]["trial_id"] = resolve(config).trial_id
        old.with_name(f"{row['trial_id']}.json").write_text(json.dumps(content))
    (run_folder / "results.json").write_text(json.dumps(results))
    assert record(*paths(run_folder)).same_code


def test_a_note_is_one_line_and_kept(run_folder, tmp_path):
    write_sweep(record(*paths(run_folder), note="98 images are from JPEG"), tmp_path / "results")
    (sweep,) = load_results(tmp_path / "results").sweeps
    assert sweep.note == "98 images are from JPEG"
    with pytest.raises(UserError, match="a note is one line"):
        record(*paths(run_folder), note="two\nlines")


def test_nothing_names_the_machine_or_its_folders(run_folder, tmp_path):
    text = write_sweep(record(run_folder, tmp_path / "tiny.yaml"), tmp_path / "results").read_text()
    assert str(tmp_path) not in text
    assert socket.gethostname() not in text
    assert re.search(r"\d+ CPUs", machine_text())


def test_the_sweeps_file_is_found_by_the_folders_name(run_folder, tmp_path):
    with pytest.raises(UserError, match=r"there is no sweeps/tiny\.yaml; name the sweep's file with --sweep"):
        record(run_folder)
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "tiny.yaml").rename(tmp_path / "sweeps" / "tiny.yaml")
    assert record(run_folder).origin.command == "qbench sweep sweeps/tiny.yaml"


def test_trials_of_another_sweep_are_refused(run_folder, tmp_path):
    (tmp_path / "other.yaml").write_text(SWEEP.replace("value: 3", "value: 4"))
    with pytest.raises(UserError, match=r"seed 0\) is not one of .*other\.yaml"):
        record(run_folder, tmp_path / "other.yaml")


def test_a_key_that_trials_had_not_then_has_its_default(run_folder, tmp_path):
    for path in (run_folder / "trials").glob("*.json"):
        content = json.loads(path.read_text())
        del content["row"]["calibration_images"]
        path.write_text(json.dumps(content))
    assert len(record(run_folder, tmp_path / "tiny.yaml").trials) == 3


def test_where_a_trial_ran_does_not_make_it_another(run_folder, tmp_path, monkeypatch):
    for path in (run_folder / "trials").glob("*.json"):
        content = json.loads(path.read_text())
        content["row"] |= {"device": "cuda", "threads": 8}
        path.write_text(json.dumps(content))
    monkeypatch.setattr(record_module, "machine_text", lambda: "Some Processor, 2 CPUs")
    with pytest.raises(UserError, match="trained on a GPU, which this machine has not"):
        record(run_folder, tmp_path / "tiny.yaml")
    monkeypatch.setattr(record_module, "machine_text", lambda: "Some Processor, 2 cores, GPU Some Card")
    monkeypatch.setattr(
        record_module, "resolve", lambda config: SimpleNamespace(trial_id="of a GPU, which need not be here")
    )
    origin = record(run_folder, tmp_path / "tiny.yaml").origin
    assert origin.machine.endswith("GPU Some Card")
    assert origin.command == "qbench sweep tiny.yaml (device: cuda)"


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (None, r"results\.json: cannot be read"),
        ("{", "is no sweep's results"),
        ("3", "is no sweep's results"),
        ('[{"scheme": "fp32"}]', "is no sweep's results"),
        ("[]", "holds no finished trial"),
        ('[{"trial_id": "absent", "status": "done"}]', "whose record is missing"),
    ],
)
def test_what_is_no_finished_sweep_is_one_clear_line(run_folder, tmp_path, results, message):
    path = run_folder / "results.json"
    path.unlink() if results is None else path.write_text(results)
    with pytest.raises(UserError, match=message):
        record(run_folder, tmp_path / "tiny.yaml")
