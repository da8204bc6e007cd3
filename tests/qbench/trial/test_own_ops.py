"""Ops of one's own in the identities of trials."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qbench.errors import ConfigError
from qbench.nn.quant_op import select
from qbench.sweep import plug_ins
from qbench.sweep.plug_ins import load_plugins
from qbench.trial import named_objects
from qbench.trial.check import check
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import resolve
from quantizers import Registry

OP = """
from qbench import QuantModule, QuantOp, register_op
from quantizers import Sign


class Never(QuantOp):
    name = "never"

    def supports(self, weight, activation, layer_shape):
        return False, "serves nothing"

    def pack(self, weight):
        raise NotImplementedError

    def linear(self, x, packed):
        raise NotImplementedError

    def operations(self, layer_shape):
        raise NotImplementedError

    def weight_scale_cost(self, layer_shape, epilogue):
        raise NotImplementedError


class Mine(QuantModule):
    pass


class MySign(Sign):
    pass


register_op(Never())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    registry: Registry[select.QuantOp] = Registry("op")
    for module in (select, named_objects):
        monkeypatch.setattr(module, "OWN_OPS", registry)
    monkeypatch.setattr(select, "_before", {})
    monkeypatch.setattr(plug_ins, "_LOADED", {})
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    (tmp_path / "op_under_test.py").write_text(OP)
    yield tmp_path
    sys.modules.pop("op_under_test", None)


def config(**values: object) -> TrialConfig:
    return TrialConfig.from_mapping(
        {"scheme": "binarynet", "model": "digits-mlp", "model_options": {"hidden": 8}} | values
    )


def test_an_op_that_only_a_trial_brings_is_refused(folder: Path) -> None:
    """Trials before it would have had other identities, and other costs."""
    with pytest.raises(
        ConfigError, match=r"op_under_test registers the QuantOp 'never' when a trial imports it.*plugins"
    ):
        resolve(config(module="op_under_test.Mine"))


def test_one_that_comes_with_a_quantizer_is_refused_too(folder: Path) -> None:
    trial = resolve(config(scheme_options={"weights": "op_under_test.MySign"}))
    with pytest.raises(ConfigError, match="op_under_test registers the QuantOp 'never'"):
        check(trial)


def test_an_op_of_a_plug_in_counts_in_every_trial(folder: Path) -> None:
    before = resolve(config()).trial_id
    load_plugins(["op_under_test.py"], folder)
    assert resolve(config()).trial_id != before
    check(resolve(config(module="op_under_test.Mine")))
