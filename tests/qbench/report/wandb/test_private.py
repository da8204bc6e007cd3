import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

import qbench.report.wandb
from qbench.report.wandb.private import PRIVATE_NAMES

FOLDER = Path(qbench.report.wandb.__file__).parent


@pytest.mark.parametrize(("module", "name"), PRIVATE_NAMES)
def test_the_private_names_of_wandb_workspaces_are_there(module, name):
    assert callable(reduce(getattr, name.split("."), importlib.import_module(module)))


def test_private_names_are_used_in_one_file():
    for path in FOLDER.glob("*.py"):
        if path.name != "private.py":
            text = path.read_text()
            assert not re.search(r"\._(to_model|from_model|model|spec)\b|v2\.internal|workspaces\.internal", text), path


def test_the_extra_pins_the_versions_that_have_them():
    import tomllib

    project = tomllib.loads((FOLDER.parents[2] / "pyproject.toml").read_text())["project"]
    (pin,) = project["optional-dependencies"]["reports"]
    assert pin == "wandb-workspaces>=0.4.13,<0.5"
    assert pin in project["optional-dependencies"]["dev"]
