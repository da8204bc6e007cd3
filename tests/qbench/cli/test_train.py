"""`qbench train` with a fake training below it."""

import json
import shutil
from pathlib import Path

import pytest
from command import qbench, written

from qbench.trial.config import TrialConfig

pytestmark = pytest.mark.usefixtures("workplace")


def test_train_prints_a_trials_metrics_and_answers_again_from_the_store(faked):
    arguments = ("train", "--scheme", "binarynet", "--seed", 3, "--epochs", 2, "-o", "model_options.width=8")
    first = qbench(*arguments)
    assert first.exit_code == 0, first.output
    assert "binarynet seed=3: epoch 1/2" in first.stderr
    heading, row = first.stdout.splitlines()[1:3]
    assert (heading.split()[:2], row.split()[:2]) == (["scheme", "accuracy"], ["binarynet", "82.50"])
    chosen = qbench(*arguments, "--columns", "train_s,runs").stdout.splitlines()
    assert chosen[:2] == ["scheme     training s  runs", "binarynet         1.5     1"]
    assert "82.50 %" in first.stdout
    again = qbench(*arguments)
    assert again.stderr == "1 trial, done already: nothing to train\n"
    assert again.stdout == first.stdout
    assert len(Path("runs/train/ran.txt").read_text().splitlines()) == 1
    qbench(*arguments, "--force")
    assert len(Path("runs/train/ran.txt").read_text().splitlines()) == 2
    row = json.loads(qbench(*arguments, "--json").stdout)["row"]
    assert (row["model_options.width"], row["epochs"], row["seed"]) == (8, 2, 3)


def test_train_fails_with_1_and_refuses_bad_input_with_2(faked, tmp_path):
    failed = qbench("train", "--scheme", "fp32", "--option", "scheme_options.act=raise-0")
    assert (failed.exit_code, "ValueError: the loss is not a number" in failed.stderr) == (1, True)
    shutil.rmtree("runs")
    for arguments, message in (
        (["--scheme", "fp23"], "scheme: unknown scheme 'fp23'; did you mean 'fp32'"),
        (["--scheme", "fp32", "--epochs", "0"], "epochs: input should be greater than or equal to 1, got 0"),
        (["--scheme", "fp32", "--option", "epochs"], "--option: expected KEY=VALUE"),
    ):
        result = qbench("train", *arguments)
        assert result.exit_code == 2
        assert result.stderr.startswith(f"qbench: error: {message}")
        assert result.stderr.count("\n") == 1
    assert written(tmp_path) == set()


def test_help_names_every_key_of_a_trial():
    text = " ".join(qbench("train", "--help").stdout.split())
    for key in TrialConfig.model_fields:
        assert key in text or f"--{key.replace('_', '-')}" in text, key
