"""Bias correction against means measured by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from qbench.nn.quant_layer import quant_layers
from qbench.ptq import calibration
from qbench.ptq.bias_correction import correct_biases
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from quantizers import QuantizerState


def network(bits: int = 3) -> nn.Module:
    torch.manual_seed(3)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    coarse = {"name": "int8", "options": {"bits": bits, "method": "minmax"}}
    return apply_scheme(net, get_scheme("int8-minmax", weights=coarse)).eval()


def mean_outputs(net: nn.Module, images: Tensor) -> list[Tensor]:
    seen: list[Tensor] = []
    handles = [
        layer.register_forward_hook(lambda _, __, y: seen.append(y.double().movedim(1, 0).flatten(1).mean(1)))
        for _, layer in quant_layers(net)
    ]
    with torch.no_grad():
        net(images)
    for handle in handles:
        handle.remove()
    return seen


def test_means_of_every_layer_become_the_float_networks() -> None:
    images = torch.rand(64, 1, 8, 8)
    float_net = copy.deepcopy(network())
    wanted = mean_outputs(float_net, images)
    net = network()
    calibration.calibrate(net, images)
    before = mean_outputs(net, images)
    added = correct_biases(net, images, batch_size=10)
    after = mean_outputs(net, images)
    assert list(added) == ["0", "3"]
    for want, was, now in zip(wanted, before, after, strict=True):
        assert (was - want).abs().max() > 1e-3  # three bits shift means
        # Batches of other sizes round otherwise, and a code may turn.
        torch.testing.assert_close(now, want, rtol=0, atol=1e-4)
    assert net[0].bias is not None  # a layer without one got one
    torch.testing.assert_close(added["0"].double(), wanted[0] - before[0], rtol=0, atol=1e-6)


def test_quantizers_quantize_again_afterwards() -> None:
    net = network()
    calibration.calibrate(net, torch.rand(8, 1, 8, 8))
    correct_biases(net, torch.rand(8, 1, 8, 8))
    for _, layer in quant_layers(net):
        assert layer.weight_quantizer.state is QuantizerState.QUANTIZING
        assert layer.input_quantizer.state is QuantizerState.QUANTIZING


def test_a_linear_layers_channels_are_last_wherever_it_stands() -> None:
    """On [B, T, K]: a mean for each of the K outputs, over images and rows, and not for each row."""
    coarse = {"name": "int8", "options": {"bits": 3, "method": "minmax"}}
    torch.manual_seed(3)
    float_net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4))
    images = torch.rand(40, 3, 6)
    with torch.no_grad():
        hidden = float_net[0](images)
        wanted = [hidden.double().mean((0, 1)), float_net(images).double().mean((0, 1))]
    net = apply_scheme(float_net, get_scheme("int8-minmax", weights=coarse)).eval()
    calibration.observe(net, images)
    calibration.freeze(net)
    with torch.no_grad():
        before = net[0](images).double().mean((0, 1))
    added = correct_biases(net, images)
    assert [correction.shape for correction in added.values()] == [(5,), (4,)]
    torch.testing.assert_close(added["0"].double(), wanted[0] - before, rtol=0, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(net(images).double().mean((0, 1)), wanted[1], rtol=0, atol=1e-4)


def test_no_images() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        correct_biases(network(), torch.rand(0, 1, 8, 8))
