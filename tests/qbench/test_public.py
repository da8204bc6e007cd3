"""The one public face: `from qbench import ...`."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import qbench


@pytest.mark.parametrize("name", qbench.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    found = getattr(qbench, name)
    assert found.__doc__
    assert name in dir(qbench)


def test_the_table_of_places_is_the_list_of_names() -> None:
    assert sorted(qbench._PLACES) == sorted(qbench.__all__)


def test_type_checkers_see_every_name_where_it_is() -> None:
    tree = ast.parse(Path(qbench.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            name = alias.asname or alias.name
            renamed = f":{alias.name}" if alias.asname not in (None, alias.name) else ""
            seen[name] = f"{node.module}{renamed}"
    assert seen == qbench._PLACES


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'quantmodule'"):
        qbench.quantmodule  # noqa: B018


def test_importing_the_package_loads_no_torch() -> None:
    heavy = "{'torch', 'pytorch_lightning', 'wandb'}"
    code = f"import qbench, sys; qbench.TrialConfig; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_losses_are_all_of_them() -> None:
    program = "from qbench import LOSSES; print(*LOSSES.names())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert {"squared_hinge", "cross_entropy", "distillation"} <= set(done.stdout.split())
