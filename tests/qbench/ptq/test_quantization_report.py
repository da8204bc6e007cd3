"""The report on a network's quantization against values computed here."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from qbench.nn.quant_layer import quant_layers, quantizing_only
from qbench.ptq import calibration
from qbench.ptq.quantization_report import report_quantization
from qbench.report.commands.calibration import layers_text
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.scheme import Scheme


def sqnr_db(x: torch.Tensor, quantized: torch.Tensor) -> float:
    """10·log10(Σ x² / Σ (x - x̂)²), in float64."""
    x, quantized = x.double(), quantized.double()
    return 10 * math.log10(float(x.square().sum() / (x - quantized).square().sum()))


def network(chosen: Scheme) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10))
    images = torch.randn(150, 1, 8, 8)
    labels = net(images).argmax(1)  # what the float network says: it is always right
    apply_scheme(net, chosen)
    calibration.calibrate(net, images)
    return net.eval(), images, labels


COARSE = get_scheme(
    "int8-minmax",
    weights={"name": "int8", "options": {"bits": 2, "method": "minmax", "channel_axis": 0}},
    activations={"name": "int8", "options": {"method": "percentile", "method_options": {"percentile": 90.0}}},
)


@torch.no_grad()
def test_figures_of_a_layer() -> None:
    net, images, labels = network(COARSE)
    report = report_quantization(net, images, labels)
    assert (report.float_accuracy, report.images) == (1.0, 150)
    first, second = report.layers
    assert (first.name, second.name) == ("1", "3")
    layer = net[3]
    hidden = torch.relu(nn.functional.linear(images.flatten(1), net[1].weight, net[1].bias))
    quantizer = layer.input_quantizer
    assert second.inputs.format == "int8"
    assert second.inputs.high == pytest.approx(127 * float(quantizer.scale))
    assert second.inputs.low == -second.inputs.high
    assert second.inputs.clipped == pytest.approx(float((hidden > second.inputs.high).double().mean()), abs=1e-6)
    assert 0.05 < second.inputs.clipped < 0.15
    assert second.inputs.sqnr_db == pytest.approx(sqnr_db(hidden, quantizer(hidden)), rel=1e-4)
    assert second.weights.format == "int2"
    assert second.weights.sqnr_db == pytest.approx(sqnr_db(layer.weight, layer.weight_quantizer(layer.weight)))
    scales = layer.weight_quantizer.scale
    assert (second.weights.scale_low, second.weights.scale_high) == (float(scales.min()), float(scales.max()))
    assert second.weights.clipped == 0.0


@torch.no_grad()
def test_sensitivity_quantizes_that_layer_alone() -> None:
    net, images, labels = network(COARSE)
    report = report_quantization(net, images, labels)
    quantized = [net[3].weight_quantizer(net[3].weight), net[3].input_quantizer]
    hidden = torch.relu(nn.functional.linear(images.flatten(1), net[1].weight, net[1].bias))
    scores = nn.functional.linear(quantized[1](hidden), quantized[0], net[3].bias)
    assert report.layers[1].sensitivity == pytest.approx(float((scores.argmax(1) == labels).double().mean()))
    assert report.layers[1].sensitivity < 1.0
    assert report.accuracy == pytest.approx(float((net(images).argmax(1) == labels).double().mean()))
    assert report.accuracy < report.layers[1].sensitivity


def test_quantizers_come_back() -> None:
    net, images, labels = network(COARSE)
    before = [(layer.weight_quantizer, layer.input_quantizer) for _, layer in quant_layers(net)]
    report_quantization(net, images, labels)
    with quantizing_only(net, "1"):
        assert net[3].weight_quantizer is None
        assert net[1].weight_quantizer is before[0][0]
    with pytest.raises(RuntimeError, match="shape"), quantizing_only(net):
        net(images[:, :, :3])
    assert [(layer.weight_quantizer, layer.input_quantizer) for _, layer in quant_layers(net)] == before


def test_what_stays_float_and_what_loses_nothing() -> None:
    net, images, labels = network(get_scheme("int8-minmax", last_layer="float"))
    net[1].weight.data.zero_()
    apply_scheme(net, get_scheme("int8-minmax", last_layer="float"))
    calibration.calibrate(net, images)
    report = report_quantization(net, images, labels)
    assert report.layers[1].weights is None
    assert report.layers[1].inputs is None
    assert report.layers[1].sensitivity == report.float_accuracy
    assert report.layers[0].to_dict()["weights"]["sqnr_db"] is None  # zeros kept as zeros
    text = layers_text(report, "minmax")
    assert "lossless" in text
    assert "most sensitive: " in text


def test_no_images() -> None:
    net, images, labels = network(COARSE)
    with pytest.raises(ValueError, match="at least one image"):
        report_quantization(net, images[:0], labels[:0])
