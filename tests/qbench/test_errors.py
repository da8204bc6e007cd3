"""Errors that a user can mend: their one line, and names that are looked up."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from qbench.errors import ConfigError, config_error, lookup, nearest, quoted
from quantizers import Registry


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str
    inner: dict[str, Inner] = {}


def test_an_error_says_where_and_what() -> None:
    assert str(ConfigError("is empty")) == "is empty"
    inner = ConfigError("is empty", "values")
    assert str(inner.within(prefix="parameters.scheme")) == "parameters.scheme.values: is empty"
    assert str(inner.within(prefix="scheme").within(file="a.yaml")) == "a.yaml: scheme.values: is empty"
    assert str(ConfigError("is empty").within(prefix="scheme")) == "scheme: is empty"
    assert inner.within(prefix="scheme").key == "scheme.values"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, "name: is required"),
        ({"name": 3}, "name: input should be a valid string, got 3"),
        ({"name": "a", "nmae": "b"}, "nmae: unknown key; did you mean 'name'? Known: name, inner"),
        ({"name": "a", "inner": {"x": {"width": "w"}}}, "inner.x.width: input should be a valid integer"),
        ({"name": "a", "inner": {3: {}}}, "inner.3: input should be a valid string, got 3"),
        ({"name": "a" * 99, "inner": "b" * 99}, f"inner: input should be a valid dictionary, got '{'b' * 76}..."),
    ],
)
def test_a_validation_error_is_one_line(values: dict[str, Any], line: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(values)
    assert str(config_error(caught.value, list(Outer.model_fields))).startswith(line)


def test_the_nearest_name_and_all() -> None:
    assert nearest("sgin", ["sign", "int8"]) == "; did you mean 'sign'? Known: sign, int8"
    assert nearest("x", []) == ". Known: none"


def test_items_are_looked_up_by_name_or_path() -> None:
    registry: Registry[float] = Registry("constant")
    registry.add("half", 0.5)
    assert lookup(registry, "half", float, "value") == 0.5
    assert lookup(registry, "math.tau", float, "value") == 6.283185307179586
    for name, message in (
        ("hlaf", "value: unknown constant 'hlaf'; did you mean 'half'?"),
        ("math.sqrt", "value: 'math.sqrt' is builtin_function_or_method, expected a float"),
        ("math.no", "value: module 'math' has no attribute 'no'"),
        ("no_such.module", "value: cannot import 'no_such'"),
    ):
        with pytest.raises(ConfigError) as caught:
            lookup(registry, name, float, "value")
        assert str(caught.value).startswith(message)


def test_what_reads_files_waits_for_no_torch() -> None:
    code = "import qbench.errors, qbench.io, qbench.seeds, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "name", ["fc", "blocks.0.attn", "up*", "", "0", "0.10", "1_0", "no", "N", "null", "*.attn", "_a", "[x", "a: b"]
)
def test_a_quoted_name_is_read_back_as_it_is(name: str) -> None:
    assert yaml.safe_load(f"allow_float: [{quoted(name)}]") == {"allow_float": [name]}
    assert yaml.safe_load(f"{{layers: {{{quoted(name)}: float}}}}") == {"layers": {name: "float"}}
