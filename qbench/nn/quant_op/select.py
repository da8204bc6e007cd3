"""The one place where a QuantOp is chosen."""

from __future__ import annotations

from qbench.nn.layer_shape import LayerShape
from qbench.nn.quant_op.base import QuantOp
from qbench.nn.quant_op.binary_weight import BinaryWeightOp
from qbench.nn.quant_op.bitplane import BitplaneOp
from qbench.nn.quant_op.float_op import FloatOp
from qbench.nn.quant_op.int8 import Int8Op
from qbench.nn.quant_op.lookup import LookupOp
from qbench.nn.quant_op.xnor import XnorOp
from quantizers import NumberFormat

OPS: tuple[QuantOp, ...] = (XnorOp(), BitplaneOp(), BinaryWeightOp(), Int8Op(), LookupOp(), FloatOp())
"""In order of preference; FloatOp, last, serves everything."""


def select_op(
    weight: NumberFormat, activation: NumberFormat, layer_shape: LayerShape, shares_scale: bool = True
) -> QuantOp:
    """Return the first of OPS that serves these formats and this layer shape.

    shares_scale: False where the products of a sum have inputs of different scales, which only float arithmetic adds.
    """
    if not shares_scale and layer_shape.kind != "embedding":
        return OPS[-1]
    for op in OPS:
        if op.supports(weight, activation, layer_shape)[0]:
            return op
    raise AssertionError("FloatOp serves everything")


def refusals(weight: NumberFormat, activation: NumberFormat, layer_shape: LayerShape) -> dict[str, str]:
    """Return the reasons of the ops that do not serve these formats and this layer shape, by op name."""
    verdicts = ((op.name, op.supports(weight, activation, layer_shape)) for op in OPS)
    return {name: reason for name, (served, reason) in verdicts if not served}
