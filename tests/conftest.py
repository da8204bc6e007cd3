"""Every test runs in a folder, a home and a wandb configuration of its own, without a network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

# Compiled kernels are cached by source and compiler under the real home: one build serves every test.
os.environ.setdefault(
    "QBENCH_CACHE", str(Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "qbench" / "kernels")
)


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _deterministic() -> None:
    torch.manual_seed(0)
