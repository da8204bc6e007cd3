"""`qbench claims` as a user runs it."""

import json
import subprocess
import sys

import pytest
from stored_examples import stored_sweep, stored_trial
from typer.testing import CliRunner

from qbench.claims.judge import VERDICTS
from qbench.claims.registry import CLAIMS
from qbench.claims.stored import load_results, write_sweep
from qbench.cli.app import app

KEYS = ["claim", "source", "paper", "here", "how", "verdict"]


def claims(*arguments):
    """Runs the command in this process; stdout is no terminal."""
    return CliRunner().invoke(app, ["claims", *map(str, arguments)])


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def test_the_table_is_plain_text_when_piped(results):
    sweep = stored_sweep(stored_trial(0, 3), stored_trial(1, 4))
    write_sweep(sweep, results)
    command = [sys.executable, "-m", "qbench.cli", "claims", "--results", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    for claim in CLAIMS:
        assert sum(line.startswith(f"  {claim.id} ") for line in lines) == 1
    head = next(line for line in lines if line.startswith("  mnist-binarynet "))
    assert "short run" in head
    assert "paper: 0.96 %" in head
    assert "here: 1.75 ± 0.35 % (2 seeds; epochs 30 for 1000" in head
    assert f"[1] {sweep}" in lines  # said once, though two claims stand on it
    assert "\x1b" not in done.stdout
    assert all(line == line.rstrip() for line in lines)


def test_json_has_exactly_the_keys(results):
    done = claims("--json", "--results", results)
    rows = json.loads(done.stdout)
    assert len(rows) == len(CLAIMS)
    assert all(list(row) == KEYS for row in rows)
    assert all(isinstance(value, str) and value for row in rows for value in row.values())
    assert {row["verdict"] for row in rows} <= set(VERDICTS)


def test_only_these_claims(results):
    done = claims("--json", "--only", "swar", "--only", "memory", "--results", results)
    assert [row["claim"].partition(":")[0] for row in json.loads(done.stdout)] == ["swar", "memory"]
    done = claims("--only", "memry", "--results", results)
    assert done.exit_code == 2
    assert "did you mean 'memory'" in done.stderr


def test_run_measures_reports_progress_and_stores(results):
    arguments = ("--only", "memory-file", "--json", "--results", results)
    done = claims("--run", *arguments)
    assert done.exit_code == 0
    assert done.stderr == "[1/1] measuring packed-file (memory-file)\n"
    (row,) = json.loads(done.stdout)
    assert (row["how"], row["verdict"]) == ("measured in this run", "confirmed")
    assert list(results.iterdir()) == []  # nothing is kept unless asked for
    claims("--run", "--store", *arguments)
    (row,) = json.loads(claims(*arguments).stdout)
    assert row["how"].startswith("stored result: ")
    assert row["how"].endswith("qbench claims --run --only memory-file")


def test_record_keeps_a_run_and_shows_it(run_folder, tmp_path):
    results = tmp_path / "results"
    done = claims("--record", run_folder, "--sweep", "tiny.yaml", "--results", results, "--only", "swar")
    rule = "a scheme that lacks some of its seeds is shown, not judged; one that lacks all has no value"
    missing = f"incomplete: 1 of 4 planned trials failed; {rule}\n"
    assert (done.exit_code, done.stderr) == (0, f"recorded: {results}/tiny.json\n{missing}")
    assert len(load_results(results).sweeps[0].trials) == 3
    claims("--record", run_folder, "--sweep", "tiny.yaml", "--results", results, "--only", "swar", "--note", "of JPEG")
    assert load_results(results).sweeps[0].note == "of JPEG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--results", "absent"), "absent: is no folder"),
        (("--record", "absent", "--results", "."), "there is no sweeps/absent.yaml"),
        (("--only", "nothing"), "unknown claim 'nothing'"),
        (("--store",), "--store keeps what --run measures"),
        (("--sweep", "tiny.yaml"), "give --record as well"),
        (("--note", "a word"), "give --record as well"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, tmp_path):
    done = claims(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_broken_stored_file_is_one_line_and_exit_code_2(results):
    (results / "broken.json").write_text('{"format": 1')
    done = claims("--results", results)
    assert done.exit_code == 2
    assert "broken.json: is no JSON" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_interrupted_run_keeps_what_was_measured(results, monkeypatch):
    import qbench.claims.measurements as measure_module

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setitem(measure_module.MEASUREMENTS, "packed-file", lambda: {"value": 32.0})
    monkeypatch.setitem(measure_module.MEASUREMENTS, "stochastic-sign", interrupted)
    only = ("--only", "memory-file", "--only", "stochastic-slow")
    done = claims("--run", "--store", *only, "--results", results)
    assert done.exit_code == 130
    assert [name for name, _ in load_results(results).measurements] == ["packed-file"]


def test_an_installed_package_has_no_results_and_says_where_to_write(monkeypatch, run_folder):
    import qbench.claims.stored as stored

    monkeypatch.setattr(stored, "default_results_folder", lambda: None)
    done = claims("--only", "mnist-binarynet", "--json")
    assert json.loads(done.stdout)[0]["verdict"] == "not run"
    done = claims("--record", run_folder, "--sweep", "tiny.yaml")
    assert done.exit_code == 2
    assert "name a folder with --results" in done.stderr


def test_what_the_project_keeps_can_be_read():
    # docs/results holds what was recorded last; all of it must be readable by this version.
    done = claims("--json")
    assert (done.exit_code, done.stderr) == (0, "")
