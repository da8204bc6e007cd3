"""Ops of one's own: where they stand, what is refused, and how they are compared with float64 arithmetic."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_op import select
from qbench.nn.quant_op.base import QuantOp
from qbench.nn.quant_op.check import check_op
from qbench.nn.quant_op.epilogue import Epilogue
from qbench.nn.quant_op.float_op import FloatOp
from qbench.nn.quant_op.int8 import Int8Op
from qbench.nn.quant_op.op_cost import OpCost
from qbench.nn.quant_op.packed import Packed
from qbench.nn.quant_op.select import OPS, ops, refusals, register_op, select_op
from quantizers import BINARY, FLOAT32, INT8, TERNARY, NumberFormat, Quantized, Registry, make

LINEAR = LayerShape("linear", 40, 7, (1, 1), (1, 1), (0, 0), (1, 1), 1, (40,), (7,))


class TernaryOp(FloatOp):
    """Ternary weights on real inputs, with an error if it is told to make one."""

    name = "ternary"
    packs = True

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def supports(self, weight: NumberFormat, activation: NumberFormat, layer_shape: LayerShape) -> tuple[bool, str]:
        return weight == TERNARY, f"needs ternary weights, got {weight}"

    def linear(self, x: Quantized, packed: Packed) -> Tensor:
        return self.factor * super().linear(x, packed)

    def operations(self, layer_shape: LayerShape) -> Operations:
        return Operations(fp32_add=layer_shape.macs)


@pytest.fixture(autouse=True)
def none_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "OWN_OPS", Registry("op"))
    monkeypatch.setattr(select, "_before", {})


def test_an_op_serves_what_no_other_one_packs() -> None:
    assert isinstance(select_op(TERNARY, FLOAT32, LINEAR), FloatOp)
    op = register_op(TernaryOp())
    assert register_op(op) is op
    assert select_op(TERNARY, FLOAT32, LINEAR) is op
    assert select_op(BINARY, BINARY, LINEAR).name == "xnor"
    assert refusals(BINARY, BINARY, LINEAR)["ternary"] == "needs ternary weights, got binary"
    assert [each.name for each in ops()] == [*(each.name for each in OPS[:-1]), "ternary", "float"]


def test_an_op_comes_before_another_one() -> None:
    first = register_op(TernaryOp(), before="xnor")
    assert ops() == (first, *OPS)


class Unpacked(TernaryOp):
    name = "unpacked"
    packs = False


@pytest.mark.parametrize(
    ("op", "before", "message"),
    [
        (TernaryOp, "float", "expected an instance of a QuantOp"),
        (Int8Op(), "float", "op 'int8' is there already"),
        (TernaryOp(), "xnr", "no op 'xnr' to come before; did you mean 'xnor'"),
        (Unpacked(), "float", "op 'unpacked' does not pack"),
    ],
)
def test_what_cannot_be_an_op_is_refused(op: QuantOp, before: str, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        register_op(op, before)
    assert ops() == OPS


def operands(shape: tuple[int, ...], x_shape: tuple[int, ...]) -> tuple[Quantized, Quantized]:
    generator = torch.Generator().manual_seed(3)
    weight = make("ternary", channel_axis=0).quantize(torch.randn(shape, generator=generator))
    return weight, Quantized(torch.randn(x_shape, generator=generator), torch.tensor(1.0), None, FLOAT32)


def test_a_right_op_passes_and_a_wrong_one_is_named() -> None:
    weight, x = operands((7, 40), (5, 40))
    check_op(TernaryOp(), weight, x)
    with pytest.raises(ValueError, match=r"op 'ternary' gives .* at \(0, 0\), expected .*; \d+ of 35 values differ"):
        check_op(TernaryOp(1.1), weight, x)
    with pytest.raises(ValueError, match="35 of 35 values differ"):
        check_op(TernaryOp(float("nan")), weight, x)


def test_convolutions_are_compared_with_their_padding() -> None:
    codes = torch.randint(-127, 128, (2, 4, 6, 5), generator=torch.Generator().manual_seed(1)).to(torch.int8)
    filters = torch.randint(-127, 128, (6, 2, 3, 3), generator=torch.Generator().manual_seed(2)).to(torch.int8)
    x = Quantized(codes, torch.tensor(0.5), None, INT8)
    weight = Quantized(filters, torch.full((6, 1, 1, 1), 0.25), None, INT8)
    check_op(Int8Op(), weight, x, ConvWindow(padding=(1, 2), stride=(2, 1), groups=2))

    class NoPadding(Int8Op):
        def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
            return super().conv2d(x, packed, ConvWindow(groups=window.groups))

    with pytest.raises(ValueError, match=r"gives \(2, 6, 4, 3\) of torch.float32, expected \(2, 6, 6, 5\)"):
        check_op(NoPadding(), weight, x, ConvWindow(padding=(1, 1), groups=2))


def test_costs_follow_the_op() -> None:
    register_op(TernaryOp())
    op = select_op(TERNARY, FLOAT32, LINEAR)
    assert op.operations(LINEAR) == Operations(fp32_add=280)
    assert op.cost(LINEAR, Epilogue(weight_format=TERNARY)) == OpCost(Operations(fp32_add=280))
