"""Weights on disk: round trips, nested states, no pickle."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from qbench.io import flat_state, load_state, load_tensors, save_tensors
from qbench.nn.models.catalogue import get_model
from qbench.ptq.calibration import calibrate
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme


@pytest.mark.parametrize("name", ["binarynet-stochastic", "int8-kl"])
def test_round_trip_of_quantizers_with_a_state(name: str, tmp_path: Path) -> None:
    def build() -> nn.Module:
        torch.manual_seed(0)
        return apply_scheme(get_model("digits-mlp").make({"hidden": 16}), get_scheme(name))

    images = torch.rand(64, 1, 8, 8)
    net = build()
    if name == "int8-kl":
        calibrate(net, images)
    else:
        net.train()(images)  # the generators have drawn
    save_tensors(flat_state(net.state_dict()), tmp_path / "w.safetensors")
    fresh = build()
    load_state(fresh, load_tensors(tmp_path / "w.safetensors"))
    assert torch.equal(fresh.eval()(images), net.eval()(images))
    assert torch.equal(fresh.train()(images), net.train()(images))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".w")] == []


def test_another_networks_state_is_refused(tmp_path: Path) -> None:
    save_tensors(flat_state(nn.Linear(2, 3).state_dict()), tmp_path / "w.safetensors")
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_state(nn.Linear(2, 4), load_tensors(tmp_path / "w.safetensors"))


def test_a_pickle_is_not_loaded(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1)}, tmp_path / "w.safetensors")
    with pytest.raises(Exception, match=r"(?i)header"):
        load_tensors(tmp_path / "w.safetensors")
