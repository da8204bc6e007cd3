import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.append(str(HERE))  # `command`


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """The working folder with the fake training in it; no wandb, nothing left on sys.path."""
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setattr(sys, "path", list(sys.path))
    shutil.copy(HERE.parent / "sweep" / "fake_training.py", tmp_path)
    return tmp_path


@pytest.fixture
def faked(workplace, monkeypatch):
    """The fake training below commands that run in this process."""
    import qbench.sweep.plan as plan_module

    monkeypatch.syspath_prepend(workplace)
    monkeypatch.setattr(plan_module, "TRAINING", "fake_training")
