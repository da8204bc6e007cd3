"""docs/extending.md: its files are written out, and its commands run, as they are printed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "extending.md").read_text()
FILES = dict(re.findall(r"```(?:python|yaml) (\S+)\n(.*?)```", TEXT, flags=re.DOTALL))
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, flags=re.DOTALL | re.MULTILINE))
COMMANDS = {
    title: [line for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL) for line in block.splitlines()]
    for title, text in SECTIONS.items()
}
COMMANDS = {title: commands for title, commands in COMMANDS.items() if commands}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every file of the page."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def run(command: str, folder: Path) -> str:
    program, *arguments = shlex.split(command)
    assert program == "qbench"
    done = subprocess.run(
        [sys.executable, "-m", "qbench.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        cwd=folder,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def rows(folder: Path) -> list[dict[str, object]]:
    return json.loads((folder / "results.json").read_text())


def test_every_section_has_its_file_and_its_commands() -> None:
    assert list(COMMANDS) == [
        "A quantizer",
        "A scheme",
        "An activation function",
        "A loss",
        "A model",
        "A data set",
        "A training of your own",
        "A QuantOp",
    ]
    named = " ".join(command for commands in COMMANDS.values() for command in commands) + FILES["own.yaml"]
    for name in FILES:
        assert name in named + FILES["focal.yaml"] or name.removesuffix(".py") + "." in named, name


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)", TEXT):
        assert (ROOT / "docs" / link).exists(), link


@pytest.mark.slow  # starts processes
def test_a_quantizer_of_ones_own_keeps_the_contract_and_is_listed(folder: Path) -> None:
    check, listing, _ = COMMANDS["A quantizer"]
    run(check, folder)
    assert re.search(r"^two-bit +my_quantizers\.py +Forward:", run(listing, folder), flags=re.MULTILINE)


@pytest.mark.slow  # starts processes
def test_its_sweep_is_valid(folder: Path) -> None:
    assert run(COMMANDS["A scheme"][0], folder) == "own.yaml: ok: grid search, 8 trials, 8 trainings\n"


@pytest.mark.slow
@pytest.mark.parametrize("title", COMMANDS)
def test_the_commands_run(title: str, folder: Path) -> None:
    printed = [run(command, folder) for command in COMMANDS[title]]
    if title == "A scheme":
        assert len(rows(folder / "runs" / "own")) == 8
        for name in ("fp32 w=16", "two-bit-net w=32"):
            assert name in printed[-1]
    elif title == "A loss":
        assert len({row["test/accuracy"] for row in rows(folder / "runs" / "focal")}) == 2
    elif title == "A model":
        assert printed[0].endswith("2 right, 0 refused by name, 0 wrong\n")
    elif title == "A QuantOp":
        (row,) = rows(folder / "runs" / "train")
        # The trained weights are ternary in every layer, and the op runs them.
        assert set(str(row["kernel/ops"]).split()) == {"ternary-add"}
        assert row["kernel/agreement"] == 1.0
