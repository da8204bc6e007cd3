"""Pretrained and frozen weights: kept where the scheme says so, and untouched where they are frozen."""

from __future__ import annotations

import copy
import logging
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from qbench.errors import ConfigError
from qbench.nn.quant_layer import quant_layers
from qbench.schemes.catalogue import get_scheme
from qbench.training.module import QuantModule

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def pretrained() -> nn.Sequential:
    """Weights as no initialization draws them, some beyond the clip."""
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 10)
    )
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(2.5 * torch.randn(parameter.shape, generator=generator))
    return network


def train(module: QuantModule, folder: Path) -> None:
    images = torch.randn(96, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    data = DataLoader(TensorDataset(images, torch.arange(96) % 10), batch_size=16)
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    pl.Trainer(accelerator="cpu", devices=1, max_epochs=1, default_root_dir=folder, **quiet).fit(module, data)


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def test_a_warm_start_keeps_every_weight() -> None:
    network = pretrained()
    before = weights(network)
    module = QuantModule(network, get_scheme("binarynet", initial_weights="keep"), input_shape=(1, 8, 8))
    after = weights(module.model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_redraw_of_trained_weights_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        QuantModule(pretrained(), "binarynet", input_shape=(1, 8, 8))
    assert "initial_weights: keep" in caplog.text


@pytest.mark.parametrize("scheme", ["binarynet", "binaryconnect", "bnn-shift", "int8-lsq", "int8-qat", "xnor-net"])
def test_frozen_weights_are_neither_redrawn_nor_clipped_nor_trained(scheme: str, tmp_path: Path) -> None:
    network = pretrained()
    network[1].requires_grad_(False)
    frozen = copy.deepcopy(network[1].weight.data), copy.deepcopy(network[1].bias.data)
    module = QuantModule(network, scheme, input_shape=(1, 8, 8))
    first, second = (layer for _, layer in quant_layers(module.model)[:2])
    given = {parameter for group in module.parameter_groups() for parameter in group["params"]}
    assert first.weight not in given
    assert second.weight in given
    before = second.weight.detach().clone()
    train(module, tmp_path)
    assert torch.equal(first.weight.detach(), frozen[0])
    assert torch.equal(first.bias.detach(), frozen[1])
    assert float(first.weight.abs().max()) > 1
    assert not torch.equal(second.weight.detach(), before)


@pytest.mark.parametrize("scheme", ["fp32", "binarynet", "bnn-shift", "int8-lsq"])
def test_a_rate_of_zero_moves_no_parameter(scheme: str, tmp_path: Path) -> None:
    module = QuantModule(pretrained(), scheme, input_shape=(1, 8, 8), learning_rate=0.0)
    assert (module.learning_rate, module.learning_rate_end) == (0.0, 0.0)
    with torch.no_grad():
        module(torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(0)))  # LSQ's steps begin at the data
    before = weights(module.model)
    train(module, tmp_path)
    after = weights(module.model)
    assert before.keys() == after.keys()
    # Latent weights are drawn within the clip, which leaves them as they are.
    assert [name for name in before if not torch.equal(before[name], after[name])] == []


def test_a_network_without_anything_to_train_is_refused() -> None:
    network = pretrained().requires_grad_(False)
    module = QuantModule(network, "binarynet", input_shape=(1, 8, 8))
    with pytest.raises(ConfigError, match="every parameter of Sequential is frozen"):
        module.make_optimizer()
