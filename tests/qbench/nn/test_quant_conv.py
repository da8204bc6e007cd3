"""Convolutions of one and two dimensions: padding by name, groups, empty batches, packed execution."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from qbench.nn import binary_product
from qbench.nn.layer_shape import ConvWindow
from qbench.nn.quant_conv import QuantConv
from qbench.nn.quant_conv1d import QuantConv1d
from qbench.nn.quant_conv2d import QuantConv2d
from quantizers import MovingAverageUniform, Quantizer, ScaledSign, Sign, Ternary, Uniform

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same'")

# Each is a layer and its input, which reaches over the borders.
LAYERS: list[tuple[type[QuantConv], dict[str, Any], tuple[int, ...]]] = [
    (QuantConv1d, {"kernel_size": 3, "stride": 2, "padding": 1}, (3, 6, 11)),
    (QuantConv1d, {"kernel_size": 4, "padding": "same", "dilation": 3, "groups": 2}, (3, 6, 11)),
    (QuantConv1d, {"kernel_size": 5, "padding": "same", "groups": 6, "bias": False}, (3, 6, 11)),
    (QuantConv1d, {"kernel_size": 3, "padding": "valid", "stride": 2}, (6, 11)),
    (QuantConv2d, {"kernel_size": 3, "padding": 1, "groups": 6}, (2, 6, 8, 7)),
    (QuantConv2d, {"kernel_size": (2, 4), "padding": "same"}, (2, 6, 8, 7)),
    (QuantConv2d, {"kernel_size": (3, 2), "padding": "same", "dilation": (1, 3), "groups": 3}, (2, 6, 8, 7)),
    (QuantConv2d, {"kernel_size": (3, 2), "stride": (2, 1), "padding": (0, 1), "groups": 2}, (2, 6, 8, 7)),
    (QuantConv2d, {"kernel_size": 3, "padding": "valid"}, (6, 8, 7)),
    (QuantConv2d, {"kernel_size": 1}, (0, 6, 8, 7)),
    (QuantConv2d, {"kernel_size": 3, "padding": "same", "groups": 6}, (0, 6, 8, 7)),
    (QuantConv1d, {"kernel_size": 4, "padding": "same"}, (0, 6, 9)),
]

QUANTIZERS: list[tuple[Any, Any, str]] = [
    (Sign, Sign, "xnor"),
    (ScaledSign, Sign, "xnor"),
    (ScaledSign, None, "binary-weight"),
    (Sign, lambda: Uniform(8, signed=False), "bitplane"),
    (lambda: Uniform(8, channel_axis=0), lambda: Uniform(8), "int8"),
    (lambda: Uniform(8, channel_axis=0), lambda: Uniform(8, signed=False), "int8"),
    (lambda: Ternary(channel_axis=0), lambda: Uniform(8), "int8"),
    (ScaledSign, lambda: Uniform(8), "float"),
    (lambda: Uniform(4), None, "float"),
]


def made(kind: type[QuantConv], options: dict[str, Any], weights: Any = None, inputs: Any = None) -> QuantConv:
    torch.manual_seed(0)
    layer = kind(6, 12, **options)
    layer.weight.data[layer.weight.data.abs() < 0.02] = 0.0
    layer.weight_quantizer = None if weights is None else weights()
    layer.input_quantizer = None if inputs is None else inputs()
    return layer


def calibrated(quantizer: Quantizer | None, values: Tensor) -> None:
    if quantizer is not None and not quantizer.is_ready:
        quantizer.observe(values)
        quantizer.freeze()


@pytest.mark.parametrize(("kind", "options", "shape"), LAYERS)
@pytest.mark.parametrize(("weights", "inputs", "op"), QUANTIZERS)
def test_packed_and_fake_quantized_are_the_float64_sums(
    kind: type[QuantConv], options: dict[str, Any], shape: tuple[int, ...], weights: Any, inputs: Any, op: str
) -> None:
    layer = made(kind, options, weights, inputs).eval()
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)) / 2
    x[x.abs() < 0.1] = 0.0
    calibrated(layer.weight_quantizer, layer.weight.detach())
    calibrated(layer.input_quantizer, torch.linspace(-2, 2, 41))
    weight = layer.quantized_weight().dequantize().double()
    values = x.double() if layer.input_quantizer is None else layer.input_quantizer.quantize(x).dequantize().double()
    plain = (nn.Conv1d if kind is QuantConv1d else nn.Conv2d)(6, 12, **options).double()  # torch's own, in float64
    plain.weight.data = weight
    if layer.bias is not None:
        plain.bias.data = layer.bias.detach().double()
    expected = plain(values)
    fake = layer(x)
    tolerance = {"rtol": 1e-5, "atol": 2e-5}
    torch.testing.assert_close(fake.double(), expected, **tolerance)
    chosen = layer.pack(layer.layer_shape(_example(x, layer), _example(fake, layer)))
    assert chosen.name == op
    layer.weight_quantizer = None  # the packed product must not look at the float path again
    packed = layer(x)
    torch.testing.assert_close(packed.double(), expected, **tolerance)
    assert packed.shape == fake.shape
    if op == "xnor" and layer.bias is None:
        assert torch.equal(packed, fake)


def _example(y: Tensor, layer: QuantConv) -> tuple[int, ...]:
    return tuple(y.shape[y.dim() - len(layer.kernel_size) - 1 :])


@pytest.mark.parametrize(("kind", "options", "shape"), LAYERS)
@pytest.mark.parametrize("weights", [Sign, ScaledSign])
def test_training_on_packed_bits_gives_the_same_numbers(
    kind: type[QuantConv], options: dict[str, Any], shape: tuple[int, ...], weights: Any, monkeypatch: Any
) -> None:
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    results = []
    for packs in (True, False):
        monkeypatch.setattr(binary_product, "packs", lambda *_, packs=packs: packs and x.numel() > 0)
        layer, leaf = made(kind, options, weights, Sign), x.clone().requires_grad_()
        y = layer(leaf)
        y.square().sum().backward()
        results.append((y, leaf.grad, layer.weight.grad))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(results[0][0], results[1][0])


def test_geometry_of_padding_by_name() -> None:
    layer = QuantConv2d(1, 1, (2, 3), padding="same", dilation=(3, 1))
    # Vertically 3 · 1 = 3 pixels in all: 1 and 2. Horizontally 2: 1 and 1.
    assert layer.window == ConvWindow(padding=(1, 1), dilation=(3, 1), extra=(1, 0))
    assert layer.window.pads == (1, 1, 2, 1)
    assert QuantConv2d(1, 1, 3, padding="valid", stride=2).window == ConvWindow(stride=(2, 2))


def test_geometry_of_one_dimension() -> None:
    layer = QuantConv1d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2)
    shape = layer.layer_shape((4, 20), (6, 9))
    assert tuple(layer(torch.zeros(1, 4, 20)).shape) == (1, 6, 9)
    assert (shape.kind, shape.kernel_size, shape.stride) == ("conv2d", (1, 3), (1, 2))
    assert (shape.padding, shape.dilation) == ((0, 1), (1, 2))
    assert (shape.input_shape, shape.output_shape) == ((4, 1, 20), (6, 1, 9))
    assert (shape.dot_length, shape.positions, shape.weights, shape.macs) == (6, 9, 36, 324)


@pytest.mark.parametrize("weights", [ScaledSign, Ternary, lambda: Ternary(channel_axis=0)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("training", [True, False])
def test_sums_of_zero_stay_zero_in_every_memory_format(
    weights: Any, memory_format: torch.memory_format, training: bool
) -> None:
    """The scale comes after the sum of whole numbers, so that it cannot leave a rounding error for the next sign."""
    torch.manual_seed(0)
    layer = QuantConv2d(64, 8, 3, padding=1, bias=False).to(memory_format=memory_format).train(training)
    layer.weight_quantizer, layer.input_quantizer = weights(), Sign()
    x = torch.randn(4, 64, 6, 6).to(memory_format=memory_format)
    weight = layer.quantized_weight()
    whole = F.conv2d(torch.where(x >= 0, 1, -1).double(), weight.codes.double(), padding=1)
    y = layer(x)
    assert (whole == 0).sum() > 20
    assert torch.equal(y == 0, whole == 0)
    assert torch.equal(y, whole.float() * weight.scale.reshape(-1, 1, 1))
    layer.eval().pack(layer.layer_shape((64, 6, 6), (8, 6, 6)))
    assert torch.equal(layer(x), y)


@pytest.mark.parametrize("weights", [ScaledSign, lambda: Ternary(channel_axis=0)])
@pytest.mark.parametrize("inputs", [Sign, None])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradients_of_factors_are_those_of_the_scaled_weights(weights: Any, inputs: Any, dropout: float) -> None:
    """In float64, against the product with `scale · codes` that autograd differentiates as one weight."""
    torch.manual_seed(0)
    layer = QuantConv2d(4, 6, 3, padding=1, groups=2, dropout=dropout).double()
    layer.weight.data.mul_(5)  # beyond 1 too, where the estimator is 0
    layer.weight_quantizer, layer.input_quantizer = weights(), None if inputs is None else inputs()
    results = []
    for formula in ("layer", "weights"):
        torch.manual_seed(1)
        x = torch.randn(2, 4, 5, 5, dtype=torch.float64, requires_grad=True)
        if formula == "layer":
            y = layer(x)
        else:
            values = x if layer.input_quantizer is None else layer.input_quantizer(x)
            values = F.dropout(values, dropout)
            y = F.conv2d(values, layer.weight_quantizer(layer.weight), layer.bias, padding=1, groups=2)
        results.append((y, *torch.autograd.grad(y.square().sum(), [x, layer.weight, layer.bias])))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_a_batch_without_examples_is_observed_by_no_error() -> None:
    layer = made(QuantConv2d, {"kernel_size": 3}, Sign, lambda: MovingAverageUniform(8)).train()
    layer(torch.randn(2, 6, 5, 5))
    assert layer(torch.empty(0, 6, 5, 5)).shape == (0, 12, 3, 3)
