import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty working folder with the fake training in it; no home, no wandb, nothing left on sys.path."""
    for name in (
        "WANDB_API_KEY",
        "WANDB_PROJECT",
        "WANDB_ENTITY",
        "WANDB_SWEEP_ID",
        "WANDB_CACHE_DIR",
        "WANDB_DATA_DIR",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    shutil.copy(HERE / "fake_training.py", tmp_path)
    return tmp_path


@pytest.fixture
def fake(workplace):
    from qbench.sweep.plan import load_training
    from qbench.sweep.plug_ins import make_importable

    make_importable(workplace)
    return load_training("fake_training")
