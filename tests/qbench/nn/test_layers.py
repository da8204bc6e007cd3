"""Quantizable layers: against torch's own, gradients, packing, dropout."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from qbench.errors import ConfigError
from qbench.nn import binary_product
from qbench.nn.activation import Activation
from qbench.nn.from_float import from_float
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_layer import quant_layers
from qbench.nn.quant_linear import QuantLinear
from quantizers import BINARY, FLOAT32, LSQ, Quantizer, ScaledSign, Sign, StochasticSign, Uniform


def test_without_quantizers_they_are_torchs_layers() -> None:
    linear, conv = QuantLinear(5, 3), QuantConv2d(2, 4, 3, stride=2, padding=1)
    x, image = torch.randn(6, 5), torch.randn(2, 2, 7, 7)
    assert torch.equal(linear(x), F.linear(x, linear.weight, linear.bias))
    assert torch.equal(conv(image), F.conv2d(image, conv.weight, conv.bias, 2, 1))
    assert linear.weight_format == linear.input_format == FLOAT32


def test_quantized_forward_and_gradients_by_hand() -> None:
    layer = QuantLinear(3, 1, bias=False)
    layer.weight_quantizer, layer.input_quantizer = Sign(estimator="identity"), Sign()
    layer.weight.data = torch.tensor([[0.0, -0.3, 2.0]])
    x = torch.tensor([[-0.0, 1.0, -1.5]], requires_grad=True)
    y = layer(x)
    # weights (+1, -1, +1), inputs (+1, +1, -1)
    assert y.item() == -1.0
    y.backward()
    # To the weight: the quantized input, unmasked. To the input: the quantized weight where |x| <= 1.
    assert torch.equal(layer.weight.grad, torch.tensor([[1.0, 1.0, -1.0]]))
    assert torch.equal(x.grad, torch.tensor([[1.0, -1.0, 0.0]]))


@pytest.mark.parametrize("kind", ["linear", "conv2d"])
@pytest.mark.parametrize("bias", [False, True])
def test_packed_equals_fake_quantized(kind: str, bias: bool) -> None:
    if kind == "linear":
        layer: QuantLinear | QuantConv2d = QuantLinear(37, 11, bias=bias)
        x = torch.randn(9, 37)
    else:
        layer = QuantConv2d(5, 7, 3, stride=2, padding=1, bias=bias)
        x = torch.randn(4, 5, 8, 7)
    x[x.abs() < 0.1] = 0.0  # zeros are +1
    layer.weight.data[layer.weight.data.abs() < 0.02] = 0.0
    layer.weight_quantizer, layer.input_quantizer = Sign(), Sign()
    layer.eval()
    expected = layer(x)
    op = layer.pack(layer.layer_shape(tuple(x.shape[1:]), tuple(expected.shape[1:])))
    assert op.name == "xnor"
    layer.weight_quantizer = None  # the packed product must not look at the float path again
    assert torch.equal(layer(x), expected)


def test_training_unpacks() -> None:
    layer = QuantLinear(8, 4, bias=False)
    layer.weight_quantizer = layer.input_quantizer = Sign()
    x = torch.randn(3, 8)
    layer.eval().pack(layer.layer_shape((8,), (4,)))
    stale = layer(x)
    layer.weight.data.neg_()
    assert torch.equal(layer(x), stale)  # packed weights are those of the moment of packing
    layer.train()
    layer.eval()
    assert torch.equal(layer(x), -stale)


def test_latent_evaluation_uses_the_real_weights_only_in_evaluation() -> None:
    layer = QuantLinear(4, 2, bias=False)
    layer.weight_quantizer, layer.latent_evaluation = Sign(), True
    x = torch.randn(3, 4)
    assert torch.equal(layer.train()(x), F.linear(x, layer.weight.sign()))
    assert torch.equal(layer.eval()(x), F.linear(x, layer.weight))
    assert layer.weight_format == FLOAT32
    assert layer.quantized_weight().format == FLOAT32


def test_dropout_comes_after_the_quantizer_and_only_in_training() -> None:
    layer = QuantLinear(1000, 1, bias=False, dropout=0.5)
    layer.input_quantizer = Sign()
    layer.weight.data.fill_(1.0)
    x = torch.ones(1, 1000)
    # ±1 inputs become 0 or 2: the sum is 2·(kept), not a sum of ±1.
    y = layer.train()(x).item()
    assert y % 2 == 0
    assert 800 < y < 1200
    assert y != 1000
    assert layer.eval()(x).item() == 1000


def test_stochastic_weights_are_drawn_anew_each_step_and_not_in_evaluation() -> None:
    layer = QuantLinear(200, 1, bias=False)
    layer.weight_quantizer = StochasticSign(seed=0)
    layer.weight.data.zero_()
    x = torch.eye(200)
    first, second = layer(x), layer(x)
    assert not torch.equal(first, second)
    assert set(first.flatten().tolist()) == {-1.0, 1.0}
    assert torch.equal(layer.eval()(x), torch.ones(200, 1))


def test_clip_is_in_place_and_only_where_weights_are_quantized() -> None:
    layer = QuantLinear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[3.0, -0.5]])
    layer.clip_latent_()
    assert layer.weight.tolist() == [[3.0, -0.5]]
    layer.weight_quantizer = Sign()
    layer.clip_latent_()
    assert layer.weight.tolist() == [[1.0, -0.5]]
    assert layer.weight_format == BINARY


def test_from_float_shares_parameters() -> None:
    conv = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2).eval()
    new = from_float(conv)
    assert new.weight is conv.weight
    assert new.bias is conv.bias
    assert not new.training
    image = torch.randn(1, 2, 6, 6)
    assert torch.equal(new(image), conv(image))
    linear = nn.Linear(3, 2, bias=False)
    assert torch.equal(from_float(linear)(torch.ones(1, 3)), linear(torch.ones(1, 3)))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_with_values_of_the_image_is_refused_by_name(mode: str) -> None:
    with pytest.raises(ValueError, match=f"padding_mode must be 'zeros', got '{mode}'"):
        QuantConv2d(1, 1, 3, padding=1, padding_mode=mode)
    for layer in (nn.Conv2d(1, 1, 3, padding=1, padding_mode=mode), nn.Conv1d(1, 1, 3, padding=1, padding_mode=mode)):
        with pytest.raises(ConfigError, match=rf"^stem \(Conv.d\): padding_mode must be 'zeros', got '{mode}'"):
            from_float(layer, "stem")


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_dropout_is_a_probability(dropout: float) -> None:
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\)"):
        QuantLinear(2, 2, dropout=dropout)


def test_geometry() -> None:
    conv = QuantConv2d(6, 8, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2, bias=False)
    shape = tuple(conv(torch.zeros(1, 6, 9, 9)).shape[1:])
    layer_shape = conv.layer_shape((6, 9, 9), shape)
    assert (layer_shape.dot_length, layer_shape.positions, layer_shape.weights) == (3 * 6, 5 * 7, 8 * 18)
    assert layer_shape.macs == 5 * 7 * 8 * 18
    assert layer_shape.weights == conv.weight.numel()


@pytest.mark.parametrize(
    ("function", "expected"),
    [("relu", [0.0, 0.5, 2.0]), ("hardtanh", [-1.0, 0.5, 1.0]), ("identity", [-2.0, 0.5, 2.0])],
)
def test_activation_slot(function: str, expected: list[float]) -> None:
    assert Activation(function)(torch.tensor([-2.0, 0.5, 2.0])).tolist() == expected


def test_quant_layers_in_order_of_declaration() -> None:
    model = nn.Sequential(QuantConv2d(1, 1, 1), nn.Sequential(QuantLinear(1, 1)), nn.ReLU(), QuantLinear(1, 1))
    assert [name for name, _ in quant_layers(model)] == ["0", "1.0", "3"]


class HalfSign(Sign):
    """Gives ±1/2: another forward than Sign's, so that its claim to give ±1 does not hold."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) / 2


class LoudSign(Sign):
    """Sign under another name."""

    def extra_repr(self) -> str:
        return "loud"


@pytest.mark.parametrize(
    ("quantizer", "binary"),
    [(Sign(), True), (StochasticSign(seed=1), True), (LoudSign(), True), (HalfSign(), False), (Uniform(8), False)],
)
@pytest.mark.parametrize("role", ["weight_quantizer", "input_quantizer"])
@pytest.mark.parametrize("kind", [QuantLinear, QuantConv2d])
def test_only_binary_quantizers_train_on_packed_bits(
    quantizer: Quantizer, binary: bool, role: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, x = (
        (QuantLinear(4, 2), torch.randn(3, 4))
        if kind is QuantLinear
        else (QuantConv2d(4, 2, 1), torch.ones(1, 4, 2, 2))
    )
    layer.weight_quantizer = layer.input_quantizer = Sign()
    setattr(layer, role, quantizer)
    if not quantizer.is_ready:
        quantizer.observe(layer.weight.detach() if role == "weight_quantizer" else x)
        quantizer.freeze()
    taken = []
    for name in ("linear", "conv2d"):
        plain = getattr(binary_product, name)
        monkeypatch.setattr(binary_product, name, lambda *args, plain=plain: taken.append(args) or plain(*args))
    expected = layer._product(layer.input_quantizer(x), layer.weight_quantizer(layer.weight), layer.bias)
    assert quantizer.is_binary == binary
    if not isinstance(quantizer, StochasticSign):
        assert torch.equal(layer(x), expected)
    else:
        layer(x)
    assert bool(taken) == binary


def test_a_weight_quantizer_that_waits_is_calibrated_on_the_layers_weight() -> None:
    layer = QuantLinear(4, 1, bias=False)
    layer.weight.data = torch.tensor([[-2.54, 0.5, 1.0, 0.0]])
    layer.weight_quantizer = Uniform(8)
    layer.calibrate_weight()
    assert layer.weight_quantizer.is_ready
    assert layer.weight_quantizer.scale.item() == pytest.approx(0.02)
    # Ready: further calls change nothing.
    layer.weight.data.mul_(10)
    layer.calibrate_weight()
    layer.calibrate_weight(torch.ones(1, 4))
    assert layer.weight_quantizer.scale.item() == pytest.approx(0.02)


def test_a_weight_quantizer_can_be_calibrated_on_other_values() -> None:
    layer = QuantLinear(4, 1, bias=False)
    layer.weight.data = torch.tensor([[-2.54, 0.5, 1.0, 0.0]])
    layer.weight_quantizer = LSQ(8)
    layer.calibrate_weight(layer.weight.detach().clamp(-1, 1))
    assert layer.weight_quantizer.is_ready
    own = LSQ(8)
    own.observe(torch.tensor([[-1.0, 0.5, 1.0, 0.0]]))
    own.freeze()
    assert torch.equal(layer.weight_quantizer.step, own.step)
    assert layer.weight.flatten().tolist() == [pytest.approx(value) for value in (-2.54, 0.5, 1.0, 0.0)]


def test_quantizers_that_need_no_statistics_are_not_calibrated() -> None:
    class Unobservant(Sign):
        def observe(self, x: torch.Tensor) -> None:
            raise AssertionError("it is ready")

    layer = QuantLinear(4, 1)
    layer.calibrate_weight()  # without a quantizer
    layer.weight_quantizer = Unobservant()
    layer.calibrate_weight()


LINEAR_QUANTIZERS = [
    (Sign, Sign, "xnor"),
    (ScaledSign, Sign, "xnor"),
    (ScaledSign, None, "binary-weight"),
    (Sign, lambda: Uniform(8, signed=False), "bitplane"),
    (lambda: Uniform(8, channel_axis=0), lambda: Uniform(8), "int8"),
    (lambda: Uniform(8, channel_axis=0), lambda: Uniform(8, signed=False), "int8"),
    (lambda: LSQ(8), lambda: LSQ(8), "int8"),
    (ScaledSign, lambda: Uniform(8), "float"),
]


@pytest.mark.parametrize(("weights", "inputs", "op"), LINEAR_QUANTIZERS)
@pytest.mark.parametrize("shape", [(4, 37), (2, 5, 37), (2, 3, 2, 37), (0, 37), (0, 5, 37), (37,)])
def test_a_linear_layer_packs_over_any_leading_dimensions(
    weights: Any, inputs: Any, op: str, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    layer = QuantLinear(37, 11).eval()
    layer.weight_quantizer, layer.input_quantizer = weights(), None if inputs is None else inputs()
    layer.calibrate_weight()
    if layer.input_quantizer is not None and not layer.input_quantizer.is_ready:
        layer.input_quantizer.observe(torch.linspace(-2, 2, 41))
        layer.input_quantizer.freeze()
    x = torch.randn(shape) / 2
    values = x if layer.input_quantizer is None else layer.input_quantizer.quantize(x).dequantize()
    weight = layer.quantized_weight().dequantize().double()
    expected = values.double() @ weight.T + layer.bias.double()
    fake = layer(x)
    assert layer.pack(layer.layer_shape(shape[1:], (*shape[1:-1], 11))).name == op
    layer.weight_quantizer = None
    packed = layer(x)
    assert packed.shape == expected.shape
    torch.testing.assert_close(fake.double(), expected, rtol=1e-5, atol=2e-5)
    torch.testing.assert_close(packed.double(), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("weights", [Sign, ScaledSign])
def test_the_float_op_replays_the_layer_bit_for_bit(weights: Any) -> None:
    """Binary weights with int8 inputs have no packed product: what replays it scales after the sum as well."""
    torch.manual_seed(0)
    layer = QuantConv2d(6, 4, 3, padding=1, bias=False).eval()
    layer.weight_quantizer, layer.input_quantizer = weights(), Uniform(8)
    layer.input_quantizer.observe(torch.linspace(-2, 2, 41))
    layer.input_quantizer.freeze()
    x = torch.randn(3, 6, 8, 8)
    fake = layer(x)
    assert layer.pack(layer.layer_shape((6, 8, 8), (4, 8, 8))).name == "float"
    assert torch.equal(layer(x), fake)


def test_an_empty_batch_trains_nothing() -> None:
    layer = QuantLinear(5, 3)
    layer.weight_quantizer, layer.input_quantizer = ScaledSign(), Sign()
    layer(torch.empty(0, 5)).sum().backward()
    assert not layer.weight.grad.any()


def test_a_frozen_weight_is_not_clipped() -> None:
    layer = QuantLinear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[3.0, -0.5]])
    layer.weight_quantizer = Sign()
    layer.weight.requires_grad_(False)
    layer.clip_latent_()
    assert layer.weight.tolist() == [[3.0, -0.5]]
