"""Bad input: one line, exit code 2, nothing written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import GRID, qbench, write, written

pytestmark = pytest.mark.usefixtures("workplace")

MODEL_OPTION = "parameters.model_options.parameters.widht.value"
BAD = {
    "unknown scheme": (GRID.replace("binarynet", "binarynett"), "parameters.scheme.values", "did you mean 'binarynet'"),
    "unknown trial key": (GRID + "  learning_rat: {value: 1e-3}", "parameters.learning_rat", "mean 'learning_rate'"),
    "unknown top key": (GRID + "metrics: {}", "metrics", "did you mean 'metric'"),
    "string for a number": (GRID + "  epochs: {value: many}", "parameters.epochs.value", "valid integer, got 'many'"),
    "quoted number": (GRID + "  learning_rate: {value: '1e-4'}", "parameters.learning_rate.value", "valid number"),
    "empty grid": (GRID.replace("[0, 1]", "[]"), "parameters.seed.values", "empty list"),
    "no parameters": ("method: grid\nparameters: {}", "parameters", "is empty"),
    "infinite grid": (GRID + "  learning_rate: {min: 1e-4, max: 1e-2}", "parameters.learning_rate", "finite list"),
    "not YAML": ("method: [grid", None, "is not valid YAML: line 1"),
    "empty file": ("", None, "is empty"),
    "a list": ("- method", None, "must hold keys and values"),
    "duplicate key": (GRID + "method: random\n", None, "key 'method' occurs twice"),
    "bayes": (GRID.replace("grid", "bayes"), "method", "use one of grid, random"),
    "unknown model": (GRID + "  model: {value: digits-convnot}", "parameters.model.value", "mean 'digits-convnet'"),
    "unknown data": (GRID + "  data: {value: digit}", "parameters.data.value", "did you mean 'digits'"),
    "unknown module": (GRID + "  module: {value: nowhere.Module}", "parameters.module.value", "import 'nowhere'"),
    "unknown model option": (
        GRID + "  model_options: {parameters: {widht: {value: 8}}}", MODEL_OPTION, "did you mean 'width'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("command", ["sweep", "validate"])
def test_bad_files_get_one_line_exit_code_2_and_nothing_written(case, command, tmp_path):
    text, key, message = BAD[case]
    file = write(text)
    result = qbench(command, file)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"qbench: error: {file}: {key + ': ' if key else ''}")
    assert message in line
    assert result.stdout == ""
    assert written(tmp_path) == {file}


def test_a_random_search_needs_an_end(faked, tmp_path):
    result = qbench("sweep", write(GRID.replace("grid", "random")))
    assert result.exit_code == 2
    assert result.stderr.startswith("qbench: error: tiny.yaml: run_cap: a random search has no end")
    assert written(tmp_path) == {"tiny.yaml"}


def test_a_missing_file_is_bad_input(tmp_path):
    result = qbench("sweep", "none.yaml")
    assert (result.exit_code, result.stderr) == (2, "qbench: error: none.yaml: no such file\n")
    assert written(tmp_path) == set()


def test_an_output_folder_that_cannot_be_written_is_said_before_any_training(faked, tmp_path):
    Path("occupied").write_text("")
    result = qbench("sweep", write(GRID), "--output", "occupied/out")
    assert result.exit_code == 2
    assert result.stderr == "qbench: error: occupied/out: cannot be written: Not a directory\n"
    assert written(tmp_path) == {"tiny.yaml", "occupied"}


@pytest.mark.parametrize("arguments", [["--workers", "0"], ["--max-runs", "0"], ["--max-runs", "x"], ["--nonsense"]])
def test_bad_options_exit_with_2(faked, arguments, tmp_path):
    assert qbench("sweep", write(GRID), *arguments).exit_code == 2
    assert written(tmp_path) == {"tiny.yaml"}


def test_an_unknown_wandb_mode_is_bad_input(faked, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "onlin")
    result = qbench("sweep", write(GRID))
    assert (result.exit_code, "unknown mode 'onlin'" in result.stderr) == (2, True)
    assert written(tmp_path) == {"tiny.yaml"}


@pytest.mark.parametrize("command", ["doctor", "ls backends"])
def test_an_isa_that_is_not_here_is_bad_input(command, tmp_path):
    environment = {**os.environ, "QBENCH_KERNELS": "altivec"}
    arguments = [sys.executable, "-m", "qbench.cli", *command.split()]
    ended = subprocess.run(arguments, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("qbench: error: QBENCH_KERNELS: expected ")
    assert ended.stderr.endswith(", got 'altivec'\n")
    assert ended.stderr.count("\n") == 1
