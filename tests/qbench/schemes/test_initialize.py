"""Initial latent weights, and the scale of their updates."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from qbench.nn.models.catalogue import get_model
from qbench.nn.quant_layer import quant_layers
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.initialize import glorot_scale, initialize
from qbench.schemes.recipe import Recipe


def test_learning_rate_scales_are_the_papers() -> None:
    def scales(name: str) -> list[float]:
        with torch.device("meta"):
            net = get_model(name).make({})
        return [round(glorot_scale(layer.weight), 2) for _, layer in quant_layers(net)]

    assert scales("mnist-mlp") == [57.04, 73.90, 73.90, 52.32]
    assert scales("cifar10-convnet") == [28.04, 39.19, 48.00, 55.43, 67.88, 78.38, 78.38, 36.95, 26.26]


def test_latent_weights_start_uniform_in_minus_one_to_one() -> None:
    net = apply_scheme(get_model("digits-mlp").make({}), get_scheme("binarynet"))
    initialize(net, get_scheme("binarynet"), seed=0)
    for _, layer in quant_layers(net):
        weight = layer.weight.detach()
        assert weight.min() >= -1
        assert weight.max() <= 1
        assert weight.abs().mean().item() == pytest.approx(0.5, abs=0.05)
    again = apply_scheme(get_model("digits-mlp").make({}), get_scheme("binarynet"))
    initialize(again, get_scheme("binarynet"), seed=0)
    assert torch.equal(net.fc1.weight, again.fc1.weight)


def test_float_weights_keep_torchs_initialization() -> None:
    torch.manual_seed(0)
    net = get_model("digits-mlp").make({})
    before = net.fc1.weight.clone()
    initialize(apply_scheme(net, get_scheme("fp32")), get_scheme("fp32"), seed=0)
    assert torch.equal(net.fc1.weight, before)


def test_frozen_and_kept_weights_are_not_drawn() -> None:
    net: Any = apply_scheme(get_model("digits-mlp").make({}), get_scheme("binarynet"))
    net.fc1.weight.requires_grad_(False)
    before = {name: layer.weight.detach().clone() for name, layer in quant_layers(net)}
    initialize(net, get_scheme("binarynet", initial_weights="keep"), seed=0)
    assert all(torch.equal(layer.weight, before[name]) for name, layer in quant_layers(net))
    initialize(net, get_scheme("binarynet"), seed=0)
    assert {name for name, layer in quant_layers(net) if torch.equal(layer.weight, before[name])} == {"fc1"}


def test_the_earlier_name_of_keep_is_read() -> None:
    assert Recipe(initial_weights="default") == Recipe(initial_weights="keep") == Recipe()
    assert get_scheme("binarynet", initial_weights="default").settings()["initial_weights"] == "keep"


def test_a_redraw_of_what_looks_trained_warns_by_name(caplog: pytest.LogCaptureFixture) -> None:
    def warnings(change: Callable[[Any], None]) -> list[str]:
        caplog.clear()
        net = nn.Sequential(nn.Embedding(30, 4), nn.Conv2d(4, 4, 3), nn.Linear(16, 8))
        change(apply_scheme(net, get_scheme("binarynet")))
        with torch.no_grad(), caplog.at_level(logging.WARNING):
            initialize(net, get_scheme("binarynet"), seed=0)
        return [record.getMessage() for record in caplog.records]

    def trained(net: Any) -> None:
        net[2].weight.data[3, 5] = 0.2501  # beyond 1/√16

    def large(net: Any) -> None:
        net[2].weight.data[3, 5] = -0.2499

    def frozen(net: Any) -> None:
        trained(net)
        net[2].weight.requires_grad_(False)

    assert warnings(lambda net: None) == []
    assert warnings(large) == []
    assert warnings(frozen) == []
    (message,) = warnings(trained)
    assert message.startswith("binarynet draws the weights of 2 anew")
    assert message.endswith("initial_weights: keep")


def test_rates_of_zero_have_their_meaning() -> None:
    assert Recipe(learning_rate=0.0).learning_rate == 0
    assert Recipe(learning_rate=0.0, learning_rate_end=0.0).learning_rate_end == 0
    with pytest.raises(ValidationError, match="no exponential decay reaches 0"):
        Recipe(learning_rate=0.1, learning_rate_end=0.0)
    with pytest.raises(ValidationError):
        Recipe(learning_rate=-0.1)
