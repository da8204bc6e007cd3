"""Packed predictions that differ: exit code 1 of `sweep` and `train`, named on standard error and in the JSON."""

import json

import pytest
from command import GRID, qbench, write

pytestmark = pytest.mark.usefixtures("workplace")
DISAGREE = GRID + "  scheme_options: {value: {act: disagree}}\n"


def test_a_sweep_ends_with_exit_code_1_and_names_the_trials(faked):
    found = qbench("sweep", write(DISAGREE), "--workers", 1)
    assert found.exit_code == 1
    named = [line for line in found.stderr.splitlines() if line.startswith("failed check: ")]
    assert len(named) == 2
    assert "binarynet" in named[0]
    assert "packed execution predicts 36.94 % of the test images" in named[0]
    assert "FAILED" in found.stdout
    again = qbench("sweep", "tiny.yaml", "--workers", 1, "--json")
    assert again.exit_code == 1
    failed = json.loads(again.stdout)["failed_checks"]
    assert {each["check"] for each in failed} == {"kernel/agreement"}
    assert all("36.94 %" in each["error"] and each["trial_id"] for each in failed)
    groups = {group["name"]: group for group in json.loads(again.stdout)["groups"]}
    assert (groups["binarynet"]["pareto"], len(groups["binarynet"]["failed_checks"])) == (None, 2)


def test_train_does_too(faked):
    found = qbench("train", "--scheme", "binarynet", "--option", "scheme_options.act=disagree")
    assert found.exit_code == 1
    assert found.stderr.splitlines()[-1].startswith("failed check: binarynet")


def test_where_all_agree_nothing_failed(faked):
    found = qbench("sweep", write(GRID), "--workers", 1, "--json")
    assert found.exit_code == 0
    assert json.loads(found.stdout)["failed_checks"] == []
