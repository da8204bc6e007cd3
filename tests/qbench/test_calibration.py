"""Calibration of a network: which images, which order, which layer is named."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from qbench import calibration
from qbench.layers import quant_layers
from qbench.models import model
from qbench.schemes import apply_scheme, scheme
from quantizers import Quantizer


def network(name: str = "int8-minmax") -> nn.Module:
    torch.manual_seed(0)
    return apply_scheme(model("digits-convnet").make({"width": 4}), scheme(name)).eval()


def ranges(net: nn.Module) -> list[float]:
    return [float(layer.input_quantizer.scale) for _, layer in quant_layers(net)]


def test_minmax_scales_by_hand() -> None:
    net, images = network(), torch.rand(20, 1, 8, 8) * 2 - 1
    inputs: dict[str, torch.Tensor] = {}
    for name, layer in quant_layers(net):
        layer.register_forward_pre_hook(lambda _, args, name=name: inputs.__setitem__(name, args[0]))
    with torch.no_grad():
        net(images)  # before calibration: the float network
    expected = [float(inputs[name].abs().max()) / 127 for name, _ in quant_layers(net)]
    calibration.calibrate(net, images)
    assert ranges(net) == pytest.approx(expected, rel=1e-6)


def test_order_and_batching_do_not_matter() -> None:
    images = torch.rand(50, 1, 8, 8) * 2 - 1
    found = []
    for chosen, size in ((images, 1000), (images, 7), (images[torch.randperm(50)], 13)):
        net = network("int8-kl")
        calibration.calibrate(net, chosen, size)
        found.append(ranges(net))
    assert found[0] == found[1] == found[2]


def test_stored_statistics_replace_a_pass() -> None:
    images = torch.rand(30, 1, 8, 8)
    first, second = network("int8-kl"), network("int8-kl")
    calibration.observe(first, images)
    calibration.load_statistics(second, calibration.statistics(first))
    calibration.freeze(first)
    calibration.freeze(second)
    assert ranges(first) == ranges(second)
    assert torch.equal(first(images), second(images))


def test_calibration_leaves_batch_norm_and_mode_alone() -> None:
    net = network().train()
    before = net.bn1.running_mean.clone()
    calibration.calibrate(net, torch.rand(8, 1, 8, 8))
    assert net.training
    assert torch.equal(net.bn1.running_mean, before)


def test_nan_names_the_layer() -> None:
    net = network()
    images = torch.rand(4, 1, 8, 8)
    images[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"^conv1\.input: NaN or infinity"):
        calibration.calibrate(net, images)


def test_no_images() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        calibration.calibrate(network(), torch.rand(0, 1, 8, 8))


def test_quantizers_without_statistics_are_left_alone() -> None:
    net = apply_scheme(model("digits-mlp").make({"hidden": 8}), scheme("binarynet")).eval()
    assert calibration.input_quantizers(net) == {}
    calibration.calibrate(net, torch.rand(4, 1, 8, 8))
    assert all(isinstance(layer.weight_quantizer, Quantizer) for _, layer in quant_layers(net))
