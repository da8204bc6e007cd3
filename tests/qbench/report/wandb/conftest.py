"""Makes the modules beside it importable, and plants a sweep's folder."""

import importlib.util
import sys
from pathlib import Path

import pytest

for _name in ("stand_in", "offline_records", "swept"):
    _spec = importlib.util.spec_from_file_location(_name, Path(__file__).parent / f"{_name}.py")
    assert _spec is not None
    assert _spec.loader is not None
    _module = importlib.util.module_from_spec(_spec)
    sys.modules[_name] = _module
    _spec.loader.exec_module(_module)


@pytest.fixture
def plant(tmp_path):
    """A function: writes a study as a sweep leaves it; returns its folder."""
    from swept import plant_in

    return lambda study=None: plant_in(tmp_path / "swept", study)


@pytest.fixture
def end_wandb():
    """Ends wandb's service after the test."""
    yield
    import wandb

    wandb.teardown()
