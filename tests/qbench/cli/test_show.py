"""`qbench show`: a folder's table without its sweep file, and without torch."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from command import GRID, MAIN, qbench, start, write
from planted import record, studies_of
from planted import study as plant
from planted import write as write_study

pytestmark = pytest.mark.usefixtures("workplace")
NAMED = f"import atexit, sys; atexit.register(lambda: open('loaded', 'w').write(' '.join(sys.modules))); {MAIN}"


@pytest.fixture
def folder(tmp_path):
    return write_study(plant(), tmp_path / "run")


def test_it_prints_what_the_sweep_printed_without_its_file(faked):
    file = Path(write(GRID))
    ran = qbench("sweep", file).stdout.partition("\nResults: ")[0]
    file.unlink()
    found = qbench("show", "runs/tiny")
    assert (found.exit_code, found.stderr) == (0, "")
    assert found.stdout == ran


def test_it_loads_no_torch_and_takes_little_time(folder):
    before = os.times()
    process = start("show", folder, code=NAMED)
    out, err = process.communicate(timeout=60)
    after = os.times()
    assert (process.returncode, err) == (0, "")
    assert "int8-kl" in out
    loaded = set(Path("loaded").read_text().split())
    assert not {"torch", "pytorch_lightning", "wandb", "pandas", "altair"} & loaded
    assert after.children_user - before.children_user < 5  # 0.8 on this project's machine; with torch over 8


@pytest.mark.parametrize("command", [["report", "--format", "csv"], ["compare", "binarynet", "fp32"]])
def test_tables_and_comparisons_load_no_torch_either(folder, command):
    name, *options = command
    process = start(name, folder, *options, code=NAMED)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert "torch" not in set(Path("loaded").read_text().split())


def test_columns_are_chosen(folder):
    lines = qbench("show", folder, "--columns", "runs,accuracy,train_s").stdout.splitlines()
    assert lines[0].split() == ["scheme", "runs", "accuracy", "training", "s"]
    assert lines[1].split() == ["fp32", "3", "99.00", "%", "3.0"]
    wide = qbench("show", folder, "--columns", "all").stdout.splitlines()[0]
    assert wide.endswith("Pareto  on front")
    wrong = qbench("show", folder, "--columns", "acuracy")
    assert wrong.exit_code == 2
    assert "--columns: no column 'acuracy'; did you mean 'accuracy'?" in wrong.stderr


def test_the_width_is_80_or_what_columns_says(folder, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert max(map(len, qbench("show", folder).stdout.splitlines())) <= 80
    monkeypatch.setenv("COLUMNS", "50")
    assert max(map(len, qbench("show", folder).stdout.splitlines())) <= 50
    monkeypatch.setenv("COLUMNS", "250")
    assert "on front" in qbench("show", folder).stdout.splitlines()[0]


def test_json_is_the_summary(folder):
    found = json.loads(qbench("show", folder, "--json").stdout)
    assert (found["name"], found["failures"], found["done"]) == ("planted", [], 9)
    assert [group["name"] for group in found["groups"]] == ["fp32", "binarynet", "int8-kl"]


def test_failures_are_named_with_exit_code_1(tmp_path):
    made = plant({"fp32": (0.9, 900, 30.0)}, seeds=(0, 1))
    folder = write_study(replace(made, records=(*made.records, record("fp32", 2, status="failed"))), tmp_path / "run")
    found = qbench("show", folder)
    assert found.exit_code == 1
    assert "failed: fp32 seed=2: ValueError: no" in found.stderr
    assert json.loads(qbench("show", folder, "--json").stdout)["failures"][0]["seed"] == 2


def test_packed_predictions_that_differ_are_named_with_exit_code_1(tmp_path):
    right = [record("fp32", s) for s in range(3)]
    wrong = [record("binarynet", s, metrics={"kernel/agreement": 0.3694}) for s in range(3)]
    folder = write_study(studies_of([*right, *wrong])[0], tmp_path / "run")
    found = qbench("show", folder)
    assert found.exit_code == 1
    assert found.stderr.count("failed check: binarynet, seed ") == 3
    assert "36.94 %" in found.stdout


def test_an_unfinished_sweep_shows_what_is_there(faked):
    qbench("sweep", write(GRID), "--max-runs", 2)
    found = qbench("show", "runs/tiny")
    assert found.exit_code == 0
    assert "incomplete: 2 of 4 trials have not run" in found.stdout
    assert "fp32 " in found.stdout


@pytest.mark.parametrize(("arguments", "said"), [(["none"], "is no folder"), (["."], "holds no results.json")])
def test_no_sweep_is_bad_input(arguments, said):
    found = qbench("show", *arguments)
    assert (found.exit_code, said in found.stderr) == (2, True)


def test_a_folder_that_was_renamed_is_shown(folder, tmp_path):
    before = qbench("show", folder).stdout
    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    assert qbench("show", moved).stdout == before


def test_another_name_in_the_file_keeps_the_earlier_folder(faked):
    qbench("sweep", write("name: first\n" + GRID))
    before = qbench("show", "runs/first").stdout
    qbench("sweep", write("name: second\n" + GRID))
    assert qbench("show", "runs/first").stdout == before
    assert "96.25 %" in qbench("show", "runs/second").stdout  # of 97.5 and 95 %


def test_trials_of_an_earlier_version_are_listed_and_not_mixed(faked, monkeypatch):
    import fake_training

    file = write(GRID)
    qbench("sweep", file)
    before = qbench("show", "runs/tiny").stdout
    # Another version of the code: other identities, other results.
    digest = fake_training.digest
    monkeypatch.setattr(fake_training, "digest", lambda *parts: digest("new", *parts))
    qbench("train", "--scheme", "fp32", "--output", "runs/tiny")
    found = qbench("show", "runs/tiny")
    assert found.exit_code == 0
    assert "4 trials of an earlier plan or version of the code" in " ".join(found.stdout.split())
    one = qbench("show", "runs/tiny", "--columns", "runs").stdout.splitlines()[1]
    assert one.split() == ["fp32", "1"]  # no earlier one is counted with it
    listed = qbench("show", "runs/tiny", "--earlier").stdout
    assert listed.count("the code changed") == 1  # fp32 with seed 0
    assert listed.count("not in the plan") == 3
    assert "97.50 %" in listed
    assert "earlier" not in before


def test_damaged_earlier_trials_are_listed_as_such(folder):
    (folder / "trials" / "aaaa.json").write_text("{")
    rows = json.loads(qbench("show", folder, "--earlier", "--json").stdout)["rows"]
    assert [(row["trial_id"], row["status"]) for row in rows] == [("aaaa", "damaged")]
    assert qbench("show", folder).exit_code == 0
    assert qbench("show", folder, "--earlier", "--columns", "all").exit_code == 2


def test_rows_have_the_sweeps_labels(tmp_path):
    records = [record("fp32", s, **{"model_options.width": w}) for w in (8, 16) for s in range(3)]
    (made,) = studies_of(records, label="float {model_options.width}")
    folder = write_study(made, tmp_path / "run")
    lines = qbench("show", folder).stdout.splitlines()
    assert [line.split("  ")[0] for line in lines if line.startswith("float")] == ["float 8", "float 16"]
    for name in ("float 8", "fp32 model_options.width=8"):
        assert qbench("compare", folder, name, "float 16").exit_code == 0


def test_a_reports_table_has_the_columns_that_are_asked_for(folder):
    csv = qbench("report", folder, "--format", "csv", "--columns", "accuracy,macs").stdout
    assert csv.splitlines()[:2] == ["group,test/accuracy,cost/macs", "fp32,0.99,3421056"]
    md = qbench("report", folder, "--format", "md", "--view", "overview", "--columns", "runs").stdout
    assert "| scheme | runs |\n| --- | ---: |\n| fp32 | 3 |" in md
    for options in ([], ["--format", "svg"], ["--format", "md", "--view", "comparisons"]):
        assert qbench("report", folder, "--columns", "runs", *options).exit_code == 2
