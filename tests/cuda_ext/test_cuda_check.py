"""The script that checks and times the CUDA kernels, where it can only decline; and how it ends its stages."""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
import torch

from qbench.bench.products import MATMULS

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "cuda_check.py"


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here: run the script itself")
@pytest.mark.parametrize("arguments", [[], ["--stage", "time"]])
def test_it_says_that_nothing_was_run(arguments: list[str]) -> None:
    result = subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stdout == ""
    assert "not run: torch finds no CUDA device here" in result.stderr


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cuda_check", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_products_are_the_cpu_benchmarks(script: ModuleType) -> None:
    assert set(script.PRODUCTS) <= set(MATMULS)


@pytest.mark.parametrize(("status", "said"), [(0, "passed"), (3, "FAILED with 3"), (77, "not run: see above")])
def test_how_a_stage_ended(script: ModuleType, status: int, said: str) -> None:
    assert script.run_stage([sys.executable, "-c", f"raise SystemExit({status})"], dict(os.environ), 60) == said


def test_a_stage_that_takes_too_long_ends_with_what_it_started(script: ModuleType, tmp_path: Path) -> None:
    # pytest and the sanitizer are a stage's children: left alive, they would run beside the timings
    number = tmp_path / "number"
    program = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(number)!r}, "w").write(str(child.pid))
child.wait()
"""
    assert script.run_stage([sys.executable, "-c", program], dict(os.environ), 5) == "FAILED: more than 5 s"
    status = Path(f"/proc/{number.read_text()}/stat")
    end = time.monotonic() + 30
    while status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < end, "the stage's child lives"
        time.sleep(0.05)
