"""Initial latent weights, and the scale of their updates."""

from __future__ import annotations

import pytest
import torch

from qbench.nn.models.catalogue import get_model
from qbench.nn.quant_layer import quant_layers
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.initialize import glorot_scale, initialize


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
