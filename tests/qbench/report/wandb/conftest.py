"""Plants a sweep's folder, and ends wandb's service."""

import pytest
from swept import plant_in


@pytest.fixture
def plant(tmp_path):
    """A function: writes a study as a sweep leaves it; returns its folder."""
    return lambda study=None: plant_in(tmp_path / "swept", study)


@pytest.fixture
def end_wandb():
    """Ends wandb's service after the test."""
    yield
    import wandb

    wandb.teardown()
