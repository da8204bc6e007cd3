"""The script that checks and times the CUDA kernels, where it can only decline."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "cuda_check.py"


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here: run the script itself")
@pytest.mark.parametrize("arguments", [[], ["--stage", "time"]])
def test_it_says_that_nothing_was_run(arguments: list[str]) -> None:
    result = subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "not run: torch finds no CUDA device here" in result.stderr
