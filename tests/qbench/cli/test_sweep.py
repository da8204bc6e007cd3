"""`qbench sweep` with a fake training below it."""

import csv
import json
from pathlib import Path

import pytest
import yaml
from command import GRID, ROOT, qbench, write, written

pytestmark = pytest.mark.usefixtures("workplace")


def test_a_number_in_yaml_1_2_is_a_number(faked):
    write(GRID + "  learning_rate: {values: [1e-4, 1E-3]}\n")
    result = qbench("sweep", "tiny.yaml", "--dry-run", "--json")
    assert {trial["learning_rate"] for trial in json.loads(result.stdout)} == {1e-4, 1e-3}


def test_dry_run_lists_the_trials_and_writes_nothing(faked, tmp_path):
    result = qbench("sweep", write(GRID), "--dry-run", "--max-runs", 3)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line.split("to run")[1].strip() for line in lines[:3]] == ["fp32 seed=0", "fp32 seed=1", "binarynet seed=0"]
    assert lines[3] == "3 trials, 3 trainings, 3 to run; output: runs/tiny/"
    assert written(tmp_path) == {"tiny.yaml"}


def test_a_sweep_ends_with_the_table_the_path_and_every_file(faked, tmp_path):
    result = qbench("sweep", write(GRID + "metric: {name: test/accuracy, goal: maximize}\n"), "--workers", 2)
    assert result.exit_code == 0, result.output
    assert result.stderr.startswith("4 trials, 4 to run\n")
    assert result.stderr.count("accuracy") == 4
    assert "[4/4]" in result.stderr
    table = result.stdout
    assert "\x1b" not in result.output
    assert [line.split()[0] for line in table.splitlines()[1:4]] == ["scheme", "fp32", "binarynet"]
    assert max(map(len, table.splitlines()[:4])) <= 80
    assert "best test/accuracy: 97.50 % by fp32 seed=0" in table
    assert table.rstrip().splitlines()[-1].startswith("Results: runs/tiny/ ")

    folder = tmp_path / "runs" / "tiny"
    rows = json.loads((folder / "results.json").read_text())
    with (folder / "results.csv").open(newline="") as file:
        cells = list(csv.DictReader(file))
    assert [(row["scheme"], str(row["seed"])) for row in rows] == [(row["scheme"], row["seed"]) for row in cells]
    assert [row["test/accuracy"] for row in rows] == pytest.approx([0.975, 0.95, 0.9, 0.875])
    assert {"cost/weight_bytes", "cost/energy_uj", "time/train_s", "kernel/agreement"} <= set(rows[0])
    assert {row["scheme"]: row["cost/quantized_share"] for row in rows} == {"fp32": 0.0, "binarynet": 1.0}
    summary = json.loads((folder / "summary.json").read_text())
    assert [group["name"] for group in summary["groups"]] == ["fp32", "binarynet"]
    assert summary["groups"][0]["accuracy"]["method"] == "images"  # of two seeds
    assert "There are 2 seeds, fewer than 3: nothing is said of other seeds." in table
    assert "(report.html, results.csv, results.json, summary.json)" in table
    page = (folder / "report.html").read_text()
    assert "binarynet" in page
    assert "97.50 %" in page
    assert "quantized MACs" in page


def test_a_finished_sweep_trains_nothing_and_says_so(faked, tmp_path):
    file = write(GRID)
    qbench("sweep", file, "--output", "out")
    ran = Path("out/ran.txt").read_text()
    result = qbench("sweep", file, "--output", "out")
    assert result.exit_code == 0
    assert result.stderr == "4 trials, all done already: nothing to train\n"
    assert "binarynet" in result.stdout
    assert Path("out/ran.txt").read_text() == ran
    assert "done" in qbench("sweep", file, "--output", "out", "--dry-run").stdout


def test_json_is_all_that_stdout_holds(faked):
    result = qbench("sweep", write(GRID), "--json")
    found = json.loads(result.stdout)
    assert (found["name"], found["output"], found["done"], found["ran"]) == ("tiny", "runs/tiny", 4, 4)
    assert (found["failed"], found["failures"], found["interrupted"]) == (0, [], False)
    assert found["groups"][1]["figures"]["kernel/agreement"] == 1.0
    assert found["report"] == "runs/tiny/report.html"
    assert Path(found["report"]).is_file()


def test_a_page_that_cannot_be_written_is_a_warning_and_nothing_is_lost(faked):
    Path("out/report.html").mkdir(parents=True)  # a folder is in the way
    result = qbench("sweep", write(GRID), "--output", "out")
    assert result.exit_code == 0
    assert "warning: no report.html was written: UserError: out/report.html: cannot be written" in result.stderr
    assert "Results: out/ (results.csv, results.json, summary.json)" in result.stdout
    assert json.loads(qbench("sweep", "tiny.yaml", "--output", "out", "--json").stdout)["report"] is None
    assert len(json.loads(Path("out/results.json").read_text())) == 4


def test_a_page_that_cannot_be_made_is_a_warning_too(faked, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("qbench.report.html.page.render", fail)
    result = qbench("sweep", write(GRID), "--output", "out")
    assert result.exit_code == 0
    assert "warning: no report.html was written: ZeroDivisionError: a fault\n" in result.stderr
    assert Path("out/summary.json").is_file()


def test_failed_trials_are_named_the_rest_finishes_and_they_are_tried_again(faked):
    file = write(GRID + "  scheme_options: {value: {act: raise-1}}\n")
    result = qbench("sweep", file, "--output", "out", "--columns", "runs,failed")
    assert result.exit_code == 1
    for scheme in ("fp32", "binarynet"):
        assert f"failed: {scheme} seed=1: ValueError: the loss is not a number" in result.stderr
    tracebacks = [line.split("traceback: ")[1] for line in result.stderr.splitlines() if "traceback: " in line]
    assert len(tracebacks) == 2
    assert "in run_trial" in Path(tracebacks[0]).read_text()
    heading, *rows = result.stdout.splitlines()[:3]
    assert heading.split() == ["scheme", "runs", "failed"]
    assert [row.split()[1:] for row in rows] == [["1", "1"], ["1", "1"]]
    assert "Incomplete: of 4 planned trials 2 failed." in result.stdout
    again = qbench("sweep", file, "--output", "out", "--json")
    assert again.exit_code == 1
    found = json.loads(again.stdout)
    assert (found["ran"], found["done"], found["failed"], len(found["failures"])) == (2, 2, 2, 2)


def test_a_folder_with_other_files_in_it_is_fine(faked):
    Path("out").mkdir()
    Path("out/notes.txt").write_text("mine")
    assert qbench("sweep", write(GRID), "--output", "out", "--max-runs", 1).exit_code == 0
    assert Path("out/notes.txt").read_text() == "mine"


def test_the_file_that_make_sweep_runs_is_valid():
    sweeps = ROOT / "sweeps" / "binary_vs_int8.yaml"
    result = qbench("sweep", sweeps, "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    trials = json.loads(result.stdout)
    assert len(trials) == 35
    assert len({trial["training_key"] for trial in trials}) == 25
    values = yaml.safe_load(sweeps.read_text())
    assert values["name"] == "binary_vs_int8"
