"""A network whose layers run packed for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from qbench.errors import UserError
from qbench.nn.layer_calls import LayerCall, layer_calls
from qbench.nn.quant_layer import quant_layers
from qbench.nn.quant_op.base import QuantOp
from qbench.nn.quant_op.select import select_op

_EXAMPLES = 2


@contextmanager
def packed(network: nn.Module, images: Tensor) -> Iterator[dict[str, QuantOp]]:
    """Let every layer that runs on `images` run by its QuantOp while the context lasts; yield the ops by layer.

    The weights are packed as they are now. A layer that runs several times is packed once, which serves all its calls:
    an op is chosen by formats, groups and the length of sums, not by the size of an image.

    Args:
        network: in evaluation mode, not packed; it is left so.
        images: [B, ...]; the first two tell which layers run, and in which shapes.

    Raises:
        UserError: a layer that runs in two shapes, for which different ops are chosen.
    """
    calls = layer_calls(network, images[:_EXAMPLES])
    _check(calls)
    try:
        yield {call.name: call.layer.pack(call.layer_shape) for call in {call.name: call for call in calls}.values()}
    finally:
        for _, layer in quant_layers(network):
            layer.unpack()


def _check(calls: list[LayerCall]) -> None:
    """Refuse a layer whose calls would need different ops."""
    ops: dict[str, tuple[QuantOp, LayerCall]] = {}
    for call in calls:
        op = select_op(call.layer.weight_format, call.layer.input_format, call.layer_shape)
        first, seen = ops.setdefault(call.name, (op, call))
        if first is not op:
            raise UserError(
                f"{call.name} ({type(call.layer).__name__}) runs on {seen.layer_shape.input_shape} by {first.name} and "
                f"on {call.layer_shape.input_shape} by {op.name}: it cannot be packed for both; use two layers"
            )
