"""The README's examples, run as they are printed."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
QBENCH = [sys.executable, "-m", "qbench.cli"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_quantizer_example_runs_in_a_sweep(tmp_path: Path) -> None:
    (example, _), (sweep, _) = blocks("python"), blocks("yaml")
    assert len([line for line in example.splitlines() if line.strip()]) <= 15
    (tmp_path / "median_sign.py").write_text(example)
    short = sweep + "  epochs: {value: 2}\n  model: {value: digits-mlp}\n"
    (tmp_path / "median.yaml").write_text(short)
    done = subprocess.run(
        [*QBENCH, "sweep", "median.yaml"], capture_output=True, text=True, timeout=280, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "runs" / "median" / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["module"] for row in rows] == ["", "", "median_sign.MedianModule", "median_sign.MedianModule"]
    # The scales are stored, so the two modules differ in bytes, and each has its own line in the table.
    assert len({row["cost/weight_bytes"] for row in rows}) == 2
    assert "MedianModule" in done.stdout


def test_the_example_of_layers_runs_in_a_sweep(tmp_path: Path) -> None:
    (tmp_path / "ends.yaml").write_text(blocks("yaml")[1] + "  epochs: {value: 1}\n")
    done = subprocess.run(
        [*QBENCH, "sweep", "ends.yaml", "--max-runs", "1"],
        capture_output=True,
        text=True,
        timeout=280,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "runs" / "ends" / "results.csv", newline="") as file:
        (row, _) = csv.DictReader(file)
    assert row["kernel/ops"].split() == ["float", "xnor", "xnor", "xnor", "xnor", "float"]


def test_the_library_example_runs(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(blocks("python")[1].replace("max_epochs=5", "max_epochs=1"))
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    assert "test/accuracy" in done.stdout


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^qbench ([\w-]+)", README, flags=re.MULTILINE))))
def test_every_command_named_has_help_with_an_example(command: str) -> None:
    done = subprocess.run([*QBENCH, command, "--help"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert f"qbench {command}" in done.stdout


def test_the_table_of_the_sweep_is_there() -> None:
    printed = README.partition("What `make sweep` prints")[2].partition("## ")[0]
    for scheme in ("fp32", "binaryconnect-stochastic", "binarynet", "int8-kl"):
        assert re.search(rf"^{scheme} +\d\d\.\d\d %", printed, flags=re.MULTILINE), scheme


def test_every_file_linked_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)", README)
    assert links
    for link in links:
        assert (ROOT / link).exists(), link
