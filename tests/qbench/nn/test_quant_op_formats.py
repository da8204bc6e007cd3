"""Groups, odd codes and tables in the QuantOps: who serves them exactly, and who refuses them with what reason."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from qbench.errors import UserError
from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_conv1d import QuantConv1d
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_embedding import QuantEmbedding
from qbench.nn.quant_linear import QuantLinear
from qbench.nn.quant_op.binary_weight import BinaryWeightOp
from qbench.nn.quant_op.bitplane import BitplaneOp
from qbench.nn.quant_op.epilogue import Epilogue
from qbench.nn.quant_op.float_op import FloatOp
from qbench.nn.quant_op.int8 import Int8Op, as_int8
from qbench.nn.quant_op.lookup import LookupOp
from qbench.nn.quant_op.op_cost import OpCost
from qbench.nn.quant_op.select import refusals, select_op
from qbench.nn.quant_op.xnor import XnorOp
from qbench.nn.traced_norm import TracedNorm
from quantizers import (
    BINARY,
    FLOAT32,
    INT8,
    TERNARY,
    UINT8,
    NumberFormat,
    Quantized,
    Quantizer,
    make,
    odd_integer,
    signed_integer,
    unsigned_integer,
    value_table,
)

LINEAR = LayerShape("linear", 40, 7, (1, 1), (1, 1), (0, 0), (1, 1), 1, (40,), (7,))
CONV = LayerShape("conv2d", 4, 6, (3, 3), (1, 1), (1, 1), (1, 1), 1, (4, 5, 5), (6, 5, 5))
TABLE = LayerShape("embedding", 50, 40, (1, 1), (1, 1), (0, 0), (1, 1), 1, (6,), (6, 40))
INT4_GROUPS = signed_integer(4).grouped(32)
NF4 = make("table", values="nf4").format


@pytest.mark.parametrize(
    ("weight", "activation", "shape", "expected"),
    [
        (INT4_GROUPS, INT8, LINEAR, FloatOp),
        (INT8, INT8.grouped(32), LINEAR, FloatOp),
        (INT4_GROUPS, FLOAT32, TABLE, LookupOp),
        (BINARY.grouped(32), BINARY, LINEAR, FloatOp),
        (BINARY, BINARY.grouped(8), LINEAR, FloatOp),
        (BINARY, UINT8.grouped(8), LINEAR, FloatOp),
        (NF4, INT8, LINEAR, FloatOp),
        (INT8, NF4, LINEAR, FloatOp),
        (NF4.grouped(64), FLOAT32, TABLE, LookupOp),
        (odd_integer(4), unsigned_integer(4), LINEAR, Int8Op),
        (odd_integer(7), odd_integer(2), CONV, Int8Op),
        (odd_integer(8), UINT8, LINEAR, FloatOp),
        (odd_integer(8), FLOAT32, TABLE, LookupOp),
        (odd_integer(4), FLOAT32, LINEAR, FloatOp),
        (BINARY, odd_integer(4), LINEAR, FloatOp),
        (NumberFormat("low", 8, "integer", -200, 50), UINT8, LINEAR, FloatOp),  # -200 is no int8
        (BINARY, unsigned_integer(8), LINEAR, BitplaneOp),
        (BINARY, NumberFormat("uint10", 10, "integer", 0, 1023), LINEAR, FloatOp),
    ],
)
def test_selection(weight: NumberFormat, activation: NumberFormat, shape: LayerShape, expected: type) -> None:
    assert isinstance(select_op(weight, activation, shape), expected)


def test_refusals_say_why() -> None:
    reasons = refusals(INT4_GROUPS, INT8, LINEAR)
    assert reasons["int8"] == "needs weights with one scale a sum, got int4_g32_s16: 32 values share one"
    assert reasons["xnor"] == "needs binary weights, got int4_g32_s16"
    assert refusals(BINARY, BINARY.grouped(8), LINEAR)["xnor"] == (
        "needs activations with one scale a sum, got binary_g8_s16: 8 values share one"
    )
    assert refusals(NF4, UINT8, LINEAR)["int8"] == "needs integer weights of at most 8 bits, got nf4"
    assert refusals(odd_integer(8), UINT8, LINEAR)["int8"] == "needs integer weights of at most 8 bits, got odd8"
    assert refusals(BINARY, UINT8.grouped(8), LINEAR)["bitplane"].startswith("needs activations with one scale a sum")


def odd(shape: tuple[int, ...], bits: int, scale: Tensor) -> Quantized:
    codes = 2 * torch.randint(-(2 ** (bits - 1)), 2 ** (bits - 1), shape) + 1
    return Quantized(codes.to(torch.int8), scale, None, odd_integer(bits))


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("bits", [2, 4, 7])
def test_odd_codes_are_exact_with_their_padding(bits: int, groups: int) -> None:
    torch.manual_seed(bits)
    weight = odd((8, 4 // groups, 3, 3), bits, torch.rand(8, 1, 1, 1) + 0.1)
    window = ConvWindow(padding=(1, 2), groups=groups)
    for x in (
        odd((2, 4, 5, 6), 7, torch.tensor(0.03)),
        Quantized(torch.randint(0, 256, (2, 4, 5, 6)).to(torch.uint8), torch.tensor(0.5), torch.tensor(7).int(), UINT8),
        Quantized(torch.randint(-127, 128, (2, 4, 5, 6)).to(torch.int8), torch.tensor(0.5), None, INT8),
    ):
        zero = 0 if x.zero_point is None else int(x.zero_point)
        sums = F.conv2d(x.codes.double() - zero, weight.codes.double(), None, 1, (1, 2), 1, groups)
        expected = (sums * weight.scale.double().reshape(-1, 1, 1) * x.scale.double()).float()
        assert torch.equal(Int8Op().conv2d(x, Int8Op().pack(weight), window), expected)
    rows = odd((5, 40), bits, torch.rand(5, 1) + 0.1)
    x = odd((3, 40), bits, torch.tensor(0.25))
    expected = (x.codes.double() @ rows.codes.double().T * rows.scale.double().T * 0.25).float()
    assert torch.equal(Int8Op().linear(x, Int8Op().pack(rows)), expected)


def test_codes_of_other_dtypes_mean_the_same() -> None:
    for dtype in (torch.int16, torch.int64, torch.float32):
        codes, zero_point = as_int8(Quantized(torch.tensor([-3, 127], dtype=dtype), torch.ones(()), None, INT8))
        assert (codes.tolist(), codes.dtype, zero_point) == ([-3, 127], torch.int8, None)
        codes, zero_point = as_int8(Quantized(torch.tensor([0, 15], dtype=dtype), torch.ones(()), None, UINT8))
        assert codes.tolist() == [-128, -113]
        assert zero_point is not None
        assert int(zero_point) == -128


@pytest.mark.parametrize(
    "quantizer",
    [
        make("group_integer", bits=4, group_size=8),
        make("group_integer", bits=3, group_size=100, scale_bits=8),
        make("table", values="nf4", group_size=8),
        make("table", values="e2m1"),
        make("odd", bits=8),
        make("ternary", channel_axis=0),
    ],
)
@pytest.mark.parametrize("indices", [torch.tensor([[1, 0], [4, 1]]), torch.tensor([3]).int(), torch.empty(0, 4).long()])
@pytest.mark.parametrize("entries", [5, 1])
def test_rows_are_looked_up(quantizer: Quantizer, indices: Tensor, entries: int) -> None:
    table = QuantEmbedding(entries, 19)
    table.weight_quantizer = quantizer
    indices = indices % entries
    expected = quantizer(table.weight.detach())[indices.long()]
    weight = quantizer.quantize(table.weight.detach())
    assert torch.equal(LookupOp().embedding(indices, LookupOp().pack(weight)), expected)
    with torch.no_grad():
        assert torch.equal(table.eval()(indices), expected)
        assert table.pack(table.layer_shape((4,), (4, 19))).name == "lookup"
        assert torch.equal(table(indices), expected)


@pytest.mark.parametrize(
    "quantizer",
    [
        make("group_integer", bits=4, group_size=7),
        make("table", values="nf4", group_size=7, scale_bits=16),
        make("odd", bits=4),
        make("odd", bits=8),
    ],
)
@pytest.mark.parametrize("input_quantizer", [None, make("unit_range", bits=4)])
@pytest.mark.parametrize("kind", ["linear", "conv1d", "conv2d"])
def test_layers_run_packed_as_they_evaluate(quantizer: Quantizer, input_quantizer: Any, kind: str) -> None:
    torch.manual_seed(0)
    layers: dict[str, tuple[Any, tuple[int, ...]]] = {
        "linear": (QuantLinear(12, 5), (3, 12)),
        "conv1d": (QuantConv1d(4, 6, 3, padding=1), (3, 4, 9)),
        "conv2d": (QuantConv2d(4, 6, 3, padding=1, groups=2), (3, 4, 5, 5)),
    }
    layer, shape = layers[kind]
    layer.weight_quantizer, layer.input_quantizer = quantizer, input_quantizer
    x = torch.rand(shape) * 1.5 - 0.2
    with torch.no_grad():
        expected = layer.eval()(x)
        op = layer.pack(layer.layer_shape(tuple(x.shape[1:]), tuple(expected.shape[1:])))
        integers = quantizer.format == odd_integer(4) and input_quantizer is not None
        assert op.name == ("int8" if integers else "float")
        torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-5)
        weight = quantizer(layer.weight).double()
        inputs = x.double() if input_quantizer is None else input_quantizer(x).double()
        product = {"linear": F.linear, "conv1d": F.conv1d, "conv2d": F.conv2d}[kind]
        options = {} if kind == "linear" else {"padding": 1, "groups": layer.groups}
        right = product(inputs, weight, layer.bias.double(), **options)
        torch.testing.assert_close(layer(x).double(), right, rtol=1e-5, atol=1e-5)


class PerChannel(Quantizer):
    """Inputs with a scale for each channel of the very tensor."""

    format = INT8

    def quantize(self, x: Tensor) -> Quantized:
        scale = x.abs().amax(tuple(at for at in range(x.dim()) if at != 1), keepdim=True) / 127
        return Quantized((x / scale).round().to(torch.int8), scale, None, INT8)

    def forward(self, x: Tensor) -> Tensor:
        return self.quantize(x).dequantize()


class PerExample(PerChannel):
    """Inputs with a scale for each example (of a linear layer, each row)."""

    def quantize(self, x: Tensor) -> Quantized:
        scale = x.abs().flatten(1).amax(1).reshape(-1, *[1] * (x.dim() - 1)) / 127
        return Quantized((x / scale).round().to(torch.int8), scale, None, INT8)


class TestScalesOfTheInput:
    """A sum of codes can be scaled only where all of its products have one scale."""

    @pytest.mark.parametrize(("layer", "shape"), [(QuantLinear(6, 6), (4, 6)), (QuantConv2d(3, 4, 3), (2, 3, 6, 6))])
    def test_calibrated_channels_are_added_in_float(self, layer: Any, shape: tuple[int, ...]) -> None:
        torch.manual_seed(0)
        x = torch.randn(shape) * torch.arange(1.0, shape[1] + 1).reshape(-1, *[1] * (len(shape) - 2))
        layer.weight_quantizer, layer.input_quantizer = make("int8"), make("int8", channel_axis=1)
        for quantizer, values in ((layer.weight_quantizer, layer.weight.detach()), (layer.input_quantizer, x)):
            quantizer.observe(values)
            quantizer.freeze()
        with torch.no_grad():
            expected = layer.eval()(x)
            op = layer.pack(layer.layer_shape(shape[1:], tuple(expected.shape[1:])))
            assert op.name == "float"
            torch.testing.assert_close(layer(x), expected)

    @pytest.mark.parametrize(("layer", "shape"), [(QuantLinear(6, 6), (4, 6)), (QuantConv2d(3, 4, 3), (2, 3, 6, 6))])
    def test_channels_of_this_very_tensor_are_refused_by_name(self, layer: Any, shape: tuple[int, ...]) -> None:
        layer.name = "body.2"
        layer.weight_quantizer, layer.input_quantizer = make("ternary", channel_axis=0), PerChannel()
        layer.eval().pack(layer.layer_shape(shape[1:], tuple(layer(torch.randn(shape)).shape[1:])))
        with pytest.raises(UserError, match=r"body\.2: its input has scales .* and int8 adds up codes"):
            layer(torch.randn(shape))

    @pytest.mark.parametrize(
        ("layer", "shape"),
        [(QuantLinear(6, 6), (4, 6)), (QuantConv2d(3, 4, 3), (2, 3, 6, 6)), (QuantConv1d(3, 4, 3), (2, 3, 6))],
    )
    def test_one_an_example_runs_in_integers(self, layer: Any, shape: tuple[int, ...]) -> None:
        torch.manual_seed(0)
        layer.weight_quantizer, layer.input_quantizer = make("ternary", channel_axis=0), PerExample()
        x = torch.randn(shape)
        with torch.no_grad():
            expected = layer.eval()(x)
            assert layer.pack(layer.layer_shape(shape[1:], tuple(expected.shape[1:]))).name == "int8"
            torch.testing.assert_close(layer(x), expected)


def test_what_groups_cost_by_hand() -> None:
    # 7 rows of 40 in groups of 32: 280 weights are multiplied by their scale, then 280 MACs are of float32.
    epilogue = Epilogue(weight_format=INT4_GROUPS, weight_scale_bytes=7 * 2 * 2)
    assert FloatOp().cost(LINEAR, epilogue) == OpCost(Operations(fp32_mul=560, fp32_add=280), scale_bytes=28)
    # A BatchNorm takes in a channel's scale, and not those of groups.
    norms = (TracedNorm(7, False, "bn"),)
    scales = [
        FloatOp().weight_scale_cost(LINEAR, Epilogue(weight_format=format, weight_scale_bytes=28, norms=norms))
        for format in (INT4_GROUPS, INT8)
    ]
    assert [cost.operations for cost in scales] == [Operations(fp32_mul=280), Operations()]
    # Of a table 6 rows of 40 values are read, each with the scale of its group.
    assert LookupOp().cost(TABLE, epilogue) == OpCost(Operations(fp32_mul=240), scale_bytes=28)
    # A table's values are looked up, which no operation counts.
    plain = Epilogue(weight_format=value_table("mine", [0.0, 1.0]), weight_scale_bytes=4)
    assert FloatOp().cost(LINEAR, plain) == OpCost(Operations(fp32_mul=287, fp32_add=280), scale_bytes=4)


def test_the_ops_of_signs_take_neither_groups_nor_odd_inputs() -> None:
    for op in (XnorOp(), BinaryWeightOp(), BitplaneOp()):
        for activation in (odd_integer(4), NF4, BINARY.grouped(8)):
            assert not op.supports(BINARY, activation, LINEAR)[0]
        assert not op.supports(TERNARY, BINARY, LINEAR)[0]
