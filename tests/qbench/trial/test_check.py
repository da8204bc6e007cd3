"""Configurations that are refused before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from qbench.errors import ConfigError
from qbench.trial.check import check
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import resolve

NETWORK = """
import torch
from torch import nn
from qbench.nn.models.model import Model

class Net(nn.Module):
    def __init__(self, function="relu"):
        super().__init__()
        self.function = getattr(torch, function)
        self.a, self.b = nn.Linear(64, 8), nn.Linear(8, 10)

    def forward(self, x):
        return self.b(self.function(self.a(x.flatten(1))))

NET = Model(Net, (1, 8, 8), 10, "")
"""


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "network_under_check.py").write_text(NETWORK)
    return "network_under_check.NET"


def test_signs_of_what_is_never_negative_are_refused(network: str) -> None:
    options = {"function": "sigmoid"}
    with pytest.raises(ConfigError, match=r"model: b \(QuantLinear\): its binary input comes from aten.sigmoid"):
        check(resolve(TrialConfig(scheme="binarynet", model=network, model_options=options)))
    check(resolve(TrialConfig(scheme="binaryconnect", model=network, model_options=options)))


def test_a_functional_relu_is_replaced(network: str) -> None:
    check(resolve(TrialConfig(scheme="binarynet", model=network)))
