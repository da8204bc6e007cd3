"""`qbench validate`."""

import pytest
from command import GRID, qbench, write, written

pytestmark = pytest.mark.usefixtures("workplace")


def test_validate_counts_trials_and_trainings(faked, tmp_path):
    result = qbench("validate", write(GRID.replace("binarynet", "int8-kl")))
    assert (result.exit_code, result.stdout) == (0, "tiny.yaml: ok: grid search, 4 trials, 2 trainings\n")
    single = qbench("validate", write(GRID.replace("[fp32, binarynet]", "[fp32]").replace("[0, 1]", "[0]")))
    assert "1 trial, 1 training\n" in single.stdout
    endless = qbench("validate", write(GRID.replace("grid", "random")))
    assert (endless.exit_code, "--max-runs is needed" in endless.stdout) == (0, True)
    assert written(tmp_path) == {"tiny.yaml"}
