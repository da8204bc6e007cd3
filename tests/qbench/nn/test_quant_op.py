"""Packed arithmetic against integer arithmetic and torch's convolutions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_op.base import QuantOp
from qbench.nn.quant_op.binary_weight import BinaryWeightOp
from qbench.nn.quant_op.bitplane import BitplaneOp
from qbench.nn.quant_op.epilogue import Epilogue
from qbench.nn.quant_op.float_op import FloatOp
from qbench.nn.quant_op.int8 import Int8Op
from qbench.nn.quant_op.lookup import LookupOp
from qbench.nn.quant_op.op_cost import OpCost
from qbench.nn.quant_op.select import OPS, refusals, select_op
from qbench.nn.quant_op.xnor import XnorOp
from qbench.nn.traced_norm import TracedNorm
from quantizers import (
    BINARY,
    FLOAT32,
    INT8,
    PIXEL8,
    TERNARY,
    UINT8,
    NumberFormat,
    Quantized,
    signed_integer,
    unsigned_integer,
)

LINEAR = LayerShape("linear", 40, 7, (1, 1), (1, 1), (0, 0), (1, 1), 1, (40,), (7,))
TABLE = LayerShape("embedding", 50, 40, (1, 1), (1, 1), (0, 0), (1, 1), 1, (6,), (6, 40))
GROUPED = LayerShape("conv2d", 4, 4, (3, 3), (1, 1), (1, 1), (1, 1), 2, (4, 5, 5), (4, 5, 5))


def signs(shape: tuple[int, ...], generator: torch.Generator) -> Quantized:
    codes = (torch.randint(0, 2, shape, generator=generator) * 2 - 1).to(torch.int8)
    return Quantized(codes, torch.tensor(1.0), None, BINARY)


def integers(shape: tuple[int, ...], generator: torch.Generator, scale: torch.Tensor) -> Quantized:
    return Quantized(torch.randint(-127, 128, shape, generator=generator).to(torch.int8), scale, None, INT8)


def reals(shape: tuple[int, ...], generator: torch.Generator) -> Quantized:
    # Multiples of 1/8: their sums are exact in float32 in any order.
    values = torch.randint(-8, 9, shape, generator=generator).float() / 8
    return Quantized(values, torch.tensor(1.0), None, FLOAT32)


@pytest.mark.parametrize(
    ("weight", "activation", "layer_shape", "expected"),
    [
        (BINARY, BINARY, LINEAR, XnorOp),
        (BINARY, FLOAT32, LINEAR, BinaryWeightOp),
        (BINARY, PIXEL8, LINEAR, BitplaneOp),
        (BINARY, UINT8, LINEAR, BitplaneOp),
        (BINARY, unsigned_integer(4), LINEAR, BitplaneOp),
        (BINARY, INT8, LINEAR, FloatOp),
        (INT8, PIXEL8, LINEAR, FloatOp),
        (BINARY, PIXEL8, GROUPED, BitplaneOp),
        (INT8, INT8, LINEAR, Int8Op),
        (FLOAT32, FLOAT32, LINEAR, FloatOp),
        (FLOAT32, BINARY, LINEAR, FloatOp),
        (INT8, FLOAT32, LINEAR, FloatOp),
        (INT8, UINT8, LINEAR, Int8Op),
        (signed_integer(4), INT8, LINEAR, Int8Op),
        (TERNARY, UINT8, LINEAR, Int8Op),
        (TERNARY, BINARY, LINEAR, FloatOp),
        (BINARY, BINARY, GROUPED, XnorOp),
        (BINARY, FLOAT32, GROUPED, BinaryWeightOp),
        (INT8, UINT8, GROUPED, Int8Op),
        (BINARY, FLOAT32, TABLE, LookupOp),
        (BINARY, BINARY, TABLE, LookupOp),
        (INT8, INT8, TABLE, LookupOp),
        (FLOAT32, FLOAT32, TABLE, FloatOp),
    ],
)
def test_selection(weight: NumberFormat, activation: NumberFormat, layer_shape: LayerShape, expected: type) -> None:
    assert isinstance(select_op(weight, activation, layer_shape), expected)


def test_refusals_say_why() -> None:
    reasons = refusals(BINARY, BINARY, GROUPED)
    assert reasons["bitplane"] == "needs pixel activations, got binary"
    assert reasons["int8"] == "needs integer activations of at most 8 bits, got binary"
    assert reasons["lookup"] == "needs an embedding, got conv2d"
    assert not {"xnor", "float"} & set(reasons)
    assert refusals(BINARY, BINARY, TABLE)["xnor"] == "needs products, an embedding has none"
    assert refusals(FLOAT32, FLOAT32, TABLE)["lookup"] == "needs quantized weights, got float32"


def test_only_the_float_op_does_not_pack() -> None:
    assert [op.name for op in OPS if not op.packs] == ["float"]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 70), st.integers(1, 9), st.integers(0, 10**6))
def test_linear_is_exact(batch: int, k: int, outputs: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight_scale, input_scale = torch.rand(outputs, 1, generator=generator) + 0.5, torch.tensor(0.25)
    cases: list[tuple[QuantOp, Quantized, Quantized]] = [
        (XnorOp(), signs((batch, k), generator), signs((outputs, k), generator)),
        (BinaryWeightOp(), reals((batch, k), generator), signs((outputs, k), generator)),
        (Int8Op(), integers((batch, k), generator, input_scale), integers((outputs, k), generator, weight_scale)),
        (FloatOp(), reals((batch, k), generator), signs((outputs, k), generator)),
    ]
    for op, x, weight in cases:
        exact = x.codes.double() @ weight.codes.double().T
        expected = exact * weight.scale.double().reshape(-1) * x.scale.double()
        result = op.linear(x, op.pack(weight))
        assert result.dtype == torch.float32
        assert torch.equal(result, expected.float()), op.name


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 2),
    st.integers(1, 40),
    st.integers(1, 5),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 3)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.sampled_from([-1, 0, 1]),
    st.integers(0, 10**6),
)
def test_conv2d_is_exact(
    batch: int,
    channels: int,
    outputs: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    pad_value: int,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    image, filters = (batch, channels, 6, 5), (outputs, channels, *kernel)
    scale = torch.rand(outputs, 1, 1, 1, generator=generator) + 0.5
    one = torch.tensor(1.0)
    cases: list[tuple[QuantOp, Quantized, Quantized]] = [
        (XnorOp(), signs(image, generator), signs(filters, generator)),
        (BinaryWeightOp(), reals(image, generator), signs(filters, generator)),
        (Int8Op(), integers(image, generator, one), integers(filters, generator, scale)),
        (FloatOp(), reals(image, generator), signs(filters, generator)),
    ]
    for op, x, weight in cases:
        vertical, horizontal = padding
        padded = F.pad(x.codes.double(), (horizontal, horizontal, vertical, vertical), value=pad_value)
        exact = F.conv2d(padded, weight.codes.double(), None, stride, 0, dilation)
        expected = exact * weight.scale.double().reshape(-1, 1, 1)
        result = op.conv2d(x, op.pack(weight), ConvWindow(stride, padding, dilation, 1, pad_value))
        assert torch.equal(result, expected.float()), op.name


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([INT8, UINT8, signed_integer(4), unsigned_integer(4)]),
    st.sampled_from([INT8, UINT8, signed_integer(2), unsigned_integer(5)]),
    st.integers(0, 10**6),
)
def test_zero_points_are_exact(weight_format: NumberFormat, input_format: NumberFormat, seed: int) -> None:
    """Sums of (x - Z_x)(w - Z_w) in int64; padding stands for the real 0, whose code is Z_x."""
    generator = torch.Generator().manual_seed(seed)

    def draw(format: NumberFormat, shape: tuple[int, ...], zero_shape: tuple[int, ...]) -> Quantized:
        low, high = int(format.minimum), int(format.maximum) + 1
        dtype = torch.int8 if low < 0 else torch.uint8
        codes = torch.randint(low, high, shape, generator=generator).to(dtype)
        zero_point = None if low < 0 else torch.randint(low, high, zero_shape, generator=generator).int()
        return Quantized(codes, torch.tensor(0.5), zero_point, format)

    def centred(x: Quantized) -> torch.Tensor:
        return x.codes.long() - (0 if x.zero_point is None else x.zero_point.long())

    op = Int8Op()
    x, weight = draw(input_format, (3, 2, 5, 4), ()), draw(weight_format, (6, 2, 3, 2), (6, 1, 1, 1))
    packed = op.pack(weight)
    expected = F.conv2d(centred(x).double(), centred(weight).double(), None, (2, 1), (1, 2))
    window = ConvWindow((2, 1), (1, 2))
    sums = op.accumulate_conv2d(x, packed, window)
    assert sums.dtype == torch.int32
    assert torch.equal(sums.double(), expected)
    assert torch.equal(op.conv2d(x, packed, window), (expected / 4).float())
    x, weight = draw(input_format, (2, 3, 40), ()), draw(weight_format, (6, 40), (6, 1))
    assert torch.equal(op.accumulate(x, op.pack(weight)).double(), centred(x).double() @ centred(weight).double().T)


def pixels(shape: tuple[int, ...], zero_point: float, scale: float, generator: torch.Generator) -> Quantized:
    codes = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    codes.view(-1)[0], codes.view(-1)[-1] = 0, 255
    return Quantized(codes, torch.tensor(scale), torch.tensor(zero_point), PIXEL8)


LATTICES = st.sampled_from([(127.5, 2 / 255), (0.0, 1.0), (8.0, 0.125), (0.5, 0.25), (255.0, 3.0)])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 700), st.integers(1, 9), LATTICES, st.integers(0, 10**6))
def test_bit_planes_are_exact(batch: int, k: int, outputs: int, lattice: tuple[float, float], seed: int) -> None:
    """Twice `Σ (q - Z)·w` in int64, then one rounding of each factor: the scales."""
    generator = torch.Generator().manual_seed(seed)
    x, weight = pixels((batch, k), *lattice, generator), signs((outputs, k), generator)
    weight = Quantized(weight.codes, torch.rand(outputs, 1, generator=generator) + 0.5, None, BINARY)
    doubled = (2 * x.codes.long() - round(2 * lattice[0])) @ weight.codes.long().T
    expected = doubled.double() * (x.scale.double() / 2) * weight.scale.double().reshape(-1)
    op = BitplaneOp()
    packed = op.pack(weight)
    torch.testing.assert_close(op.linear(x, packed).double(), expected, rtol=1.2e-7, atol=0)
    multiplier, offset = (1, int(lattice[0])) if lattice[0].is_integer() else (2, round(2 * lattice[0]))
    sums = op.accumulate(x.codes, packed.data, multiplier, op.constant(packed, offset, (), ConvWindow()))
    assert sums.dtype == torch.int32
    assert torch.equal(sums.long() * (2 // multiplier), doubled)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 2),
    st.integers(1, 40),
    st.integers(1, 5),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.sampled_from([-1, 0, 1]),
    LATTICES,
    st.integers(0, 10**6),
)
def test_bit_planes_are_exact_at_the_borders(
    batch: int,
    channels: int,
    outputs: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    pad_value: int,
    lattice: tuple[float, float],
    seed: int,
) -> None:
    """A padded value is real, and need not be one of the codes' values (BinaryNet's 0: 127.5)."""
    generator = torch.Generator().manual_seed(seed)
    x, weight = pixels((batch, channels, 6, 5), *lattice, generator), signs((outputs, channels, *kernel), generator)
    vertical, horizontal = padding
    scale = x.scale.double()
    padded = F.pad(x.codes.double() - lattice[0], (horizontal, horizontal, vertical, vertical), value=pad_value / scale)
    exact = F.conv2d(padded, weight.codes.double(), None, stride, 0, dilation) * scale
    op = BitplaneOp()
    result = op.conv2d(x, op.pack(weight), ConvWindow(stride, padding, dilation, 1, pad_value))
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.double(), exact, rtol=1.2e-7, atol=1e-9)


def test_bit_planes_need_a_zero_point_of_halves() -> None:
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match=r"bitplane: the zero point must be a multiple of 1/2, got 0\.25"):
        BitplaneOp().linear(pixels((1, 4), 0.25, 1.0, generator), BitplaneOp().pack(signs((2, 4), generator)))


def test_bit_planes_refuse_sums_that_may_not_fit_int32() -> None:
    longest = (2**31 - 1) // 510
    layer_shape = LayerShape("linear", longest + 1, 7, (1, 1), (1, 1), (0, 0), (1, 1), 1, (longest + 1,), (7,))
    assert BitplaneOp().supports(BINARY, PIXEL8, layer_shape) == (
        False,
        f"needs K at most {longest}, got {longest + 1}",
    )


def test_int8_refuses_sums_that_may_not_fit_int32() -> None:
    def layer_shape(k: int) -> LayerShape:
        return LayerShape("linear", k, 7, (1, 1), (1, 1), (0, 0), (1, 1), 1, (k,), (7,))

    assert Int8Op().supports(UINT8, UINT8, layer_shape(33025)) == (True, "")
    assert Int8Op().supports(UINT8, UINT8, layer_shape(33026)) == (False, "needs K at most 33025, got 33026")


def test_leading_dimensions_are_kept() -> None:
    generator = torch.Generator().manual_seed(0)
    weight = signs((5, 12), generator)
    cases = [
        (XnorOp(), signs((2, 3, 12), generator)),
        (BinaryWeightOp(), reals((2, 3, 12), generator)),
        (BitplaneOp(), pixels((2, 3, 12), 127.5, 2 / 255, generator)),
    ]
    for op, x in cases:
        assert op.linear(x, op.pack(weight)).shape == (2, 3, 5)


@pytest.mark.parametrize(
    ("op", "method"), [(LookupOp(), "linear"), (LookupOp(), "conv2d"), (XnorOp(), "embedding"), (Int8Op(), "embedding")]
)
def test_an_op_says_which_kind_of_layer_it_does_not_serve(op: QuantOp, method: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = signs((1, 4), generator), op.pack(signs((2, 4), generator))
    arguments = {"linear": (x, weight), "conv2d": (x, weight, ConvWindow()), "embedding": (torch.tensor([0]), weight)}
    with pytest.raises(TypeError, match=f"{op.name}: serves no {method} layer"):
        getattr(op, method)(*arguments[method])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2),
    st.integers(1, 12),
    st.sampled_from([1, 2, 3, 35]),
    st.integers(1, 3),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.sampled_from([-1, 0, 1]),
    st.integers(0, 10**6),
)
def test_groups_are_exact(
    batch: int,
    groups: int,
    channels: int,
    filters: int,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    pad_value: int,
    seed: int,
) -> None:
    """Depthwise (one channel a group) up to dense (one group), against int64 arithmetic: float64 of whole numbers."""
    generator = torch.Generator().manual_seed(seed)
    image, shape = (batch, groups * channels, 6, 5), (groups * filters, channels, *kernel)
    scale = torch.rand(groups * filters, 1, 1, 1, generator=generator) + 0.5
    quarter, one = torch.tensor(0.25), torch.tensor(1.0)

    def unsigned(shape: tuple[int, ...], zero_shape: tuple[int, ...], scale: torch.Tensor) -> Quantized:
        codes = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        return Quantized(codes, scale, torch.randint(0, 256, zero_shape, generator=generator).int(), UINT8)

    scaled_signs = Quantized(signs(shape, generator).codes, scale, None, BINARY)
    cases: list[tuple[QuantOp, Quantized, Quantized]] = [
        (XnorOp(), signs(image, generator), scaled_signs),
        (BinaryWeightOp(), reals(image, generator), scaled_signs),
        (BitplaneOp(), unsigned(image, (), quarter), signs(shape, generator)),
        (BitplaneOp(), Quantized(unsigned(image, (), one).codes, quarter, torch.tensor(127.5), PIXEL8), scaled_signs),
        (Int8Op(), integers(image, generator, quarter), integers(shape, generator, scale)),
        (Int8Op(), unsigned(image, (), quarter), unsigned(shape, (groups * filters, 1, 1, 1), scale)),
        (Int8Op(), unsigned(image, (), one), unsigned(shape, (), one)),
        (FloatOp(), reals(image, generator), signs(shape, generator)),
    ]
    down, across = padding
    window = ConvWindow(stride, padding, dilation, groups, pad_value)
    for op, x, weight in cases:
        zeros = [0.0 if each.zero_point is None else each.zero_point.double() for each in (x, weight)]
        centred, filters_centred = x.codes.double() - zeros[0], weight.codes.double() - zeros[1]
        padded = F.pad(centred, (across, across, down, down), value=pad_value / float(x.scale))
        exact = F.conv2d(padded, filters_centred, None, stride, 0, dilation, groups)
        expected = exact * (weight.scale.double().reshape(-1, 1, 1) * x.scale.double())
        result = op.conv2d(x, op.pack(weight), window)
        assert result.dtype == torch.float32
        assert result.shape == expected.shape
        # One rounding of each factor: the sums are exact, so that zeros are.
        torch.testing.assert_close(result.double(), expected, rtol=2.5e-7, atol=0)


@pytest.mark.parametrize(
    ("kernel", "dilation"), [((2, 4), (1, 1)), ((4, 1), (1, 3)), ((3, 2), (2, 3)), ((6, 6), (1, 1))]
)
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("pad_value", [-1, 0, 1])
def test_unequal_padding_is_exact(
    kernel: tuple[int, int], dilation: tuple[int, int], groups: int, pad_value: int
) -> None:
    """As torch's padding "same" divides it: one more at the bottom and at the right where the total is odd."""
    generator = torch.Generator().manual_seed(0)
    totals = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    window = ConvWindow(
        (1, 1), (totals[0] // 2, totals[1] // 2), dilation, groups, pad_value, extra=(totals[0] % 2, totals[1] % 2)
    )
    image, filters = (2, 6, 5, 7), (12, 6 // groups, *kernel)
    assert window.output_size((5, 7), kernel) == (5, 7)
    (top, left, bottom, right) = window.pads
    one = torch.tensor(1.0)
    cases: list[tuple[QuantOp, Quantized, Quantized]] = [
        (XnorOp(), signs(image, generator), signs(filters, generator)),
        (BinaryWeightOp(), reals(image, generator), signs(filters, generator)),
        (BitplaneOp(), pixels(image, 127.5, 2.0, generator), signs(filters, generator)),
        (Int8Op(), integers(image, generator, one), integers(filters, generator, one)),
        (FloatOp(), reals(image, generator), signs(filters, generator)),
    ]
    for op, x, weight in cases:
        padded = F.pad(x.dequantize().double(), (left, right, top, bottom), value=pad_value)
        if pad_value == 0:
            same = F.conv2d(x.dequantize().double(), weight.codes.double(), None, 1, "same", dilation, groups)
            assert torch.equal(F.conv2d(padded, weight.codes.double(), None, 1, 0, dilation, groups), same)
        expected = F.conv2d(padded, weight.codes.double(), None, 1, 0, dilation, groups)
        assert torch.equal(op.conv2d(x, op.pack(weight), window), expected.float()), op.name


def test_unequal_padding_takes_no_stride() -> None:
    with pytest.raises(ValueError, match="unequal padding needs stride 1"):
        ConvWindow(stride=(1, 2), extra=(0, 1))


@pytest.mark.parametrize(
    "weight",
    [
        Quantized(torch.tensor([[1, -1, 1], [-1, -1, 1]]).to(torch.int8), torch.tensor([[0.5], [2.0]]), None, BINARY),
        Quantized(torch.tensor([[1, -1, 1], [-1, -1, 1]]).to(torch.int8), torch.tensor(1.0), None, BINARY),
        Quantized(torch.tensor([[9, -7, 0], [-127, 3, 1]]).to(torch.int8), torch.tensor([[0.5], [2.0]]), None, INT8),
        Quantized(
            torch.tensor([[9, 255, 0], [128, 3, 1]]).to(torch.uint8),
            torch.tensor([[0.5], [2.0]]),
            torch.tensor([[3], [128]]).int(),
            UINT8,
        ),
        Quantized(torch.tensor([[9, 255, 0], [128, 3, 1]]).to(torch.uint8), torch.tensor(0.1), torch.tensor(4), UINT8),
    ],
)
@pytest.mark.parametrize("indices", [torch.tensor([[1, 0], [1, 1]]), torch.tensor([0]).int(), torch.empty(0, 4).long()])
def test_rows_are_looked_up(weight: Quantized, indices: torch.Tensor) -> None:
    zero_point = 0 if weight.zero_point is None else weight.zero_point.double()
    values = (weight.scale.double() * (weight.codes.double() - zero_point)).float()
    result = LookupOp().embedding(indices, LookupOp().pack(weight))
    assert torch.equal(result, values[indices.long()])


def test_costs_of_groups_and_of_a_table_by_hand() -> None:
    # 100 outputs of K = 2 · 9 = 18: one word each, 1,800 MACs.
    assert XnorOp().operations(GROUPED) == Operations(xnor_popcount_word=100)
    assert BitplaneOp().operations(GROUPED) == Operations(xnor_popcount_word=800)
    assert BinaryWeightOp().operations(GROUPED) == Operations(fp32_add=1800)
    assert Int8Op().operations(GROUPED) == Operations(int8_mul=1800, int32_add=1800)
    # Depthwise: 64 channels of 5 × 5 outputs, K = 9.
    depthwise = LayerShape("conv2d", 64, 64, (3, 3), (1, 1), (1, 1), (1, 1), 64, (64, 5, 5), (64, 5, 5))
    assert XnorOp().operations(depthwise) == Operations(xnor_popcount_word=1600)
    assert BinaryWeightOp().operations(depthwise) == Operations(fp32_add=14400)
    assert (depthwise.macs, depthwise.weights, depthwise.weight_rows) == (14400, 576, (64, 9))
    # A table of 50 entries of 40 values, 6 of which are read: nothing but the scale, once a value.
    assert (TABLE.macs, TABLE.weights, TABLE.weight_rows, TABLE.positions) == (0, 2000, (50, 40), 6)
    scaled = Epilogue(weight_format=BINARY, weight_scale_bytes=200)
    assert LookupOp().cost(TABLE, scaled) == OpCost(Operations(fp32_mul=240), scale_bytes=200)
    assert LookupOp().cost(TABLE, Epilogue(weight_format=BINARY)) == OpCost()
    assert FloatOp().cost(TABLE, Epilogue()) == OpCost()


def test_operations_by_hand() -> None:
    # 7 outputs of K = 40: two words each.
    assert XnorOp().operations(LINEAR) == Operations(xnor_popcount_word=14)
    assert BitplaneOp().operations(LINEAR) == Operations(xnor_popcount_word=8 * 14)
    assert BinaryWeightOp().operations(LINEAR) == Operations(fp32_add=280)
    assert Int8Op().operations(LINEAR) == Operations(int8_mul=280, int32_add=280)
    assert FloatOp().operations(LINEAR) == Operations(fp32_mul=280, fp32_add=280)


SIGN_OPS = [XnorOp(), BitplaneOp(), BinaryWeightOp()]
NORM = TracedNorm(7)  # of LINEAR's 7 outputs


def epilogue_cost(op: QuantOp, epilogue: Epilogue) -> OpCost:
    """What `epilogue` adds to the op's products and sums."""
    whole, products = op.cost(LINEAR, epilogue), OpCost(op.operations(LINEAR))
    added = op.epilogue_cost(LINEAR, epilogue)
    assert whole == products + added + OpCost(scale_bytes=epilogue.input_scale_bytes)
    return added


@pytest.mark.parametrize("op", [*SIGN_OPS, FloatOp()])
@pytest.mark.parametrize("weight", [BINARY, INT8])
def test_a_bare_epilogue_costs_nothing(op: QuantOp, weight: NumberFormat) -> None:
    assert epilogue_cost(op, Epilogue(weight)) == OpCost()
    # A sign without a BatchNorm before it is the next layer's own.
    assert epilogue_cost(op, Epilogue(weight, binary_output=True)) == OpCost()


@pytest.mark.parametrize("op", [*SIGN_OPS, FloatOp()])
def test_bias_and_norms_in_float_by_hand(op: QuantOp) -> None:
    # 7 additions and 7 numbers; then scale and shift: 7 of each, 14 numbers.
    assert epilogue_cost(op, Epilogue(BINARY, bias=True)) == OpCost(Operations(fp32_add=7), 0, 28)
    assert epilogue_cost(op, Epilogue(BINARY, bias=True, norms=(NORM,))) == OpCost(
        Operations(fp32_mul=7, fp32_add=14), 0, 28 + 56
    )
    # Shift-based: two additions, one to the exponent, and three numbers each.
    shifts = TracedNorm(7, shifts=True)
    assert epilogue_cost(op, Epilogue(BINARY, norms=(shifts,))) == OpCost(
        Operations(fp32_add=14, int32_add=7), 0, 3 * 28
    )


@pytest.mark.parametrize("op", [*SIGN_OPS, FloatOp()])
def test_thresholds_by_hand(op: QuantOp) -> None:
    # 7 comparisons; 7 thresholds of 4 bytes and 7 directions in one byte. The scale of ±1 weights is in them.
    threshold = OpCost(Operations(int32_add=7), 0, 28 + 1)
    assert epilogue_cost(op, Epilogue(BINARY, norms=(NORM,), binary_output=True)) == threshold
    assert epilogue_cost(op, Epilogue(BINARY, 28, norms=(NORM,), binary_output=True)) == threshold
    # After a pool there are fewer values; of two norms the last is the threshold; a bias stays an addition.
    both = Epilogue(BINARY, bias=True, norms=(TracedNorm(5), TracedNorm(3)), binary_output=True)
    assert epilogue_cost(op, both) == OpCost(Operations(fp32_mul=5, fp32_add=7 + 5, int32_add=3), 0, 28 + 56 + 29)


@pytest.mark.parametrize("op", [*SIGN_OPS, FloatOp()])
def test_the_scale_of_binary_weights_by_hand(op: QuantOp) -> None:
    # 7 scales, 7 multiplications: without a threshold nothing takes them in.
    assert epilogue_cost(op, Epilogue(BINARY, 28)) == OpCost(Operations(fp32_mul=7), 28)
    assert epilogue_cost(op, Epilogue(BINARY, 28, norms=(NORM,))) == OpCost(Operations(fp32_mul=14, fp32_add=7), 28, 56)


def test_the_scale_of_other_weights_in_float_by_hand() -> None:
    # A BatchNorm takes it in; it is stored all the same, before a threshold too.
    assert epilogue_cost(FloatOp(), Epilogue(INT8, 28)) == OpCost(Operations(fp32_mul=7), 28)
    assert epilogue_cost(FloatOp(), Epilogue(INT8, 28, norms=(NORM,))) == OpCost(
        Operations(fp32_mul=7, fp32_add=7), 28, 56
    )
    assert epilogue_cost(FloatOp(), Epilogue(INT8, 28, norms=(NORM,), binary_output=True)) == OpCost(
        Operations(int32_add=7), 28, 29
    )


def test_the_epilogue_in_integers_by_hand() -> None:
    op = Int8Op()
    # 7 fixed-point multiplications, though the scale were 1; with a bias 7 additions of int32, 4 bytes each.
    assert epilogue_cost(op, Epilogue(INT8)) == OpCost(Operations(int32_mul=7))
    assert epilogue_cost(op, Epilogue(INT8, 28)) == OpCost(Operations(int32_mul=7), 28)
    biased = OpCost(Operations(int32_mul=7, int32_add=7), 28, 28)
    assert epilogue_cost(op, Epilogue(INT8, 28, bias=True)) == biased
    # A BatchNorm is in multiplier and bias, whichever of the two there is; a second one is not.
    for norms in ((NORM,), (TracedNorm(7, shifts=True),)):
        for bias in (False, True):
            for signs in (False, True):
                assert epilogue_cost(op, Epilogue(INT8, 28, bias=bias, norms=norms, binary_output=signs)) == biased
    assert epilogue_cost(op, Epilogue(INT8, 28, norms=(NORM, NORM))) == biased + OpCost(
        Operations(fp32_mul=7, fp32_add=7), 0, 56
    )
    assert epilogue_cost(op, Epilogue(INT8, 28, norms=(NORM, NORM), binary_output=True)) == biased + OpCost(
        Operations(int32_add=7), 0, 29
    )


@pytest.mark.parametrize("op", OPS)
def test_the_inputs_scale_is_stored(op: QuantOp) -> None:
    assert op.cost(LINEAR, Epilogue(BINARY, input_scale_bytes=5)).scale_bytes == 5


def test_a_layer_without_quantizers_costs_its_products() -> None:
    assert FloatOp().cost(LINEAR, Epilogue()) == OpCost(Operations(fp32_mul=280, fp32_add=280))
