"""What comes into an activation slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from qbench.errors import ConfigError
from qbench.nn.activation import Activation, channels_of
from qbench.nn.activation_registry import find_activation, takes_channels
from qbench.nn.flow import operands
from qbench.nn.graph.graph import Graph
from qbench.nn.graph.node import Node
from qbench.schemes.named import NamedSpec


@dataclass(frozen=True)
class SlotShape:
    """What comes into an activation slot.

    Attributes:
        shape: of a batch.
        channels: how many there are; None where the function is not told.
        last: they are the last dimension (rows of features, [B, T, C]), and not dimension 1.
    """

    shape: tuple[int, ...]
    channels: int | None
    last: bool


def slot_shape(graph: Graph, function: NamedSpec, slots: Sequence[Node], *, several: bool = False) -> SlotShape:
    """Return what comes into a slot, by its calls in the graph.

    Channels are dimension 1, as of torch's PReLU, but behind a layer that takes rows of features: a linear one, or an
    embedding.

    Args:
        graph: of the network.
        function: that is to stand there.
        slots: the calls.
        several: each call is a place of its own: their channels may differ.

    Raises:
        ConfigError: calls with different channels, of one place, under a function that has parameters for each.
    """
    shapes = [node.input_shapes[0] for node in slots]
    if function.name in Activation.FUNCTIONS or not takes_channels(find_activation(function.name)):
        return SlotShape(shapes[0], None, False)
    last = {_takes_rows(graph, node) for node, shape in zip(slots, shapes, strict=True) if len(shape) > 2}
    found = {channels_of(shape, any(last)) for shape in shapes}
    if len(last) > 1 or (len(found) > 1 and not several):
        what = " and ".join(map(str, sorted(filter(None, found))))
        raise ConfigError(
            f"{slots[0].label} is called with {what} channels, or with channels in different dimensions: "
            f"{function.name} has parameters for each channel, so give each place a module of its own",
            "model",
        )
    return SlotShape(shapes[0], None if several else found.pop(), any(last))


def _takes_rows(graph: Graph, node: Node) -> bool:
    """Whether the values of a slot are rows of features: what gives them is a linear layer, or a product of rows."""
    here = node
    while taken := operands(graph, here):
        here = taken[0]
        if here.kind == "layer":
            return isinstance(here.module, nn.Linear | nn.Embedding)
        if here.kind in ("norm", "reshape"):
            return False
        if here.kind == "product":
            return True
    return False
