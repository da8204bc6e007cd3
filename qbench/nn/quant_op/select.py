"""The one place where a QuantOp is chosen."""

from __future__ import annotations

from qbench.errors import nearest
from qbench.nn.layer_shape import LayerShape
from qbench.nn.quant_op.base import QuantOp
from qbench.nn.quant_op.binary_weight import BinaryWeightOp
from qbench.nn.quant_op.bitplane import BitplaneOp
from qbench.nn.quant_op.float_op import FloatOp
from qbench.nn.quant_op.int8 import Int8Op
from qbench.nn.quant_op.lookup import LookupOp
from qbench.nn.quant_op.xnor import XnorOp
from quantizers import NumberFormat, Registry

OPS: tuple[QuantOp, ...] = (XnorOp(), BitplaneOp(), BinaryWeightOp(), Int8Op(), LookupOp(), FloatOp())
"""The project's own, in order of preference; FloatOp, last, serves everything."""

OWN_OPS: Registry[QuantOp] = Registry("op")
"""Ops of one's own, which `register_op` adds."""

_before: dict[str, str] = {}  # by the name of such an op, in their order: the op that it comes before


def register_op(op: QuantOp, before: str = "float") -> QuantOp:
    """Let layers run by an op of one's own, where it serves them, and return it.

    Its results must be those of `FloatOp` but for the rounding of float32 (`check_op` compares them): every trial
    compares the predictions of packed execution with fake-quantized ones. Its source counts in the identity of every
    trial, for it decides what layers cost.

    Args:
        op: an instance; its name stands in tables.
        before: the name of the op that it comes before. By default it serves what no other op packs.

    Raises:
        TypeError: what is no QuantOp.
        ValueError: a name that another op has; an op that does not pack, which nothing would be compared with; an
            unknown `before`.
    """
    if not isinstance(op, QuantOp):
        raise TypeError(f"expected an instance of a QuantOp, got {op!r}")
    if not op.packs:
        raise ValueError(f"op {op.name!r} does not pack: nothing would compare it with float arithmetic")
    others = [each for each in ops() if each is not op]
    if op.name in (each.name for each in others):
        raise ValueError(f"op {op.name!r} is there already; give yours another name")
    if before not in (each.name for each in others):
        raise ValueError(f"op {op.name!r}: no op {before!r} to come before{nearest(before, [o.name for o in others])}")
    OWN_OPS.add(op.name, op)
    _before.setdefault(op.name, before)
    return op


def ops() -> tuple[QuantOp, ...]:
    """Return every op in order of preference: OPS, and before them those that were registered so."""
    found = list(OPS)
    for name, before in _before.items():
        found.insert([each.name for each in found].index(before), OWN_OPS.get(name))
    return tuple(found)


def select_op(
    weight: NumberFormat, activation: NumberFormat, layer_shape: LayerShape, shares_scale: bool = True
) -> QuantOp:
    """Return the first of `ops()` that serves these formats and this layer shape.

    shares_scale: False where the products of a sum have inputs of different scales, which only float arithmetic adds.
    """
    if not shares_scale and layer_shape.kind != "embedding":
        return OPS[-1]
    for op in ops():
        if op.supports(weight, activation, layer_shape)[0]:
            return op
    raise AssertionError("FloatOp serves everything")


def refusals(weight: NumberFormat, activation: NumberFormat, layer_shape: LayerShape) -> dict[str, str]:
    """Return the reasons of the ops that do not serve these formats and this layer shape, by op name."""
    verdicts = ((op.name, op.supports(weight, activation, layer_shape)) for op in ops())
    return {name: reason for name, (served, reason) in verdicts if not served}
