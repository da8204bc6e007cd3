"""Every test runs in a folder, a home and a wandb configuration of its own, without a network, on one thread."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Before torch is loaded, and for the programs that tests start: the workers of `make test` share the processors. What
# depends on threads sets their number itself; threads that wait for one another then sleep.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"

import pytest
import torch
from hypothesis import settings

# The same examples every time, and no deadline: a busy machine is no failure.
settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile("deterministic")

# Compiled kernels are cached by source and compiler under the real home: one build serves every test.
os.environ.setdefault("QBENCH_CACHE", str(Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "qbench"))


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
def _deterministic() -> Iterator[None]:
    torch.manual_seed(0)
    yield
    torch.set_num_threads(1)
