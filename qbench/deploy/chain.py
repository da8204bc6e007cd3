"""Reads the operations of a network as a chain of blocks."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor, nn

from qbench.deploy.block import Block, PoolWindow
from qbench.errors import UserError
from qbench.nn.folding import DirectedMaxPool2d
from qbench.nn.graph.capture import UncapturedError, capture
from qbench.nn.graph.graph import Graph
from qbench.nn.graph.kinds import base_name, keeps_values
from qbench.nn.graph.node import Node
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_linear import QuantLinear

# Those that keep the values in their order; a permutation mixes the batch or the channels with other dimensions.
_IN_ORDER = ("flatten", "view", "reshape", "_unsafe_view", "unflatten", "squeeze", "unsqueeze")


class UnsupportedStructureError(UserError):
    """A network that is no chain of known operations; the message names the operation and the reason."""


def blocks(
    network: nn.Module, input_shape: tuple[int, ...] | Tensor, refusal: type[UserError] = UnsupportedStructureError
) -> list[Block]:
    """Return the blocks of a network whose operations, as evaluation runs them, are one chain.

    How the network's code calls them does not matter: modules, functions, one module in several places. A block is a
    call of a QuantLinear or QuantConv2d, then at most one max-pool, one BatchNorm with running statistics (plain or
    shift-based) and one activation (after the BatchNorm). Images are flattened before linear layers. What evaluation
    does not compute, dropout for one, is left out.

    Args:
        network: trained; what its quantizers are is not looked at.
        input_shape: of one example, without the batch; or a batch of examples.
        refusal: the error for a network of another structure.

    Raises:
        refusal: another operation or order, or a network whose operations cannot be read; the message names the
            operation and the reason.
    """
    try:
        graph = capture(network, input_shape)
    except UncapturedError as error:
        raise refusal(str(error)) from error
    reader = _Reader()
    for node in _in_a_row(graph, refusal):
        reason = reader.add(node)
        if reason is not None:
            raise refusal(f"{_name(node)}: {reason}")
    if not reader.blocks:
        raise refusal("the network has no layer to quantize")
    return reader.blocks


def _in_a_row(graph: Graph, refusal: type[UserError]) -> list[Node]:
    """Return the operations from the network's input to its output, each of which takes the one before it alone."""
    (node,) = graph.of_kind("input")
    found: list[Node] = []
    while True:
        users = graph.users(node)
        if len(users) != 1:
            where = ", ".join(_name(user) for user in users) or "nothing"
            raise refusal(f"{_name(node)}: its result goes to {where}; in a chain it goes to one operation")
        (node,) = users
        if len(node.inputs) > 1:
            raise refusal(f"{_name(node)}: takes {len(node.inputs)} results; in a chain each operation takes one")
        if node.kind == "output":
            return found
        found.append(node)


def _name(node: Node) -> str:
    """Return the module that is called, or that torch has for the one function; else the function and its place."""
    return node.path if _is_module(node) else node.label


def _noun(node: Node) -> str:
    if node.target == "slot":
        return f"the activation function {node.function}"
    return type(node.module).__name__ if _is_module(node) else base_name(node.target)


def _is_module(node: Node) -> bool:
    """Whether a node is all that its module does, so that the module's name says it."""
    if node.kind in ("layer", "norm") or node.target == "slot":
        return True
    of_torch = type(node.module).__module__.startswith("torch.nn.")
    return bool(node.path) and of_torch and not any(node.module.children())


class _Reader:
    """The blocks read so far, and whether the last one's output has been flattened."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._flat = False
        self._activated = False

    def add(self, node: Node) -> str | None:
        """Read the next operation; return why it cannot stand there, None if it can."""
        if node.kind == "layer":
            return self._add_layer(node)
        if keeps_values(node):
            return None
        if node.kind == "reshape":
            return self._add_reshape(node)
        if not self.blocks:
            return f"{_noun(node)} comes before the first layer"
        if self._flat and node.kind != "activation":
            return f"{_noun(node)} after flattening"
        if node.kind == "norm":
            return self._add_norm(node)
        if node.kind == "max_pool":
            return self._add_pool(node)
        if node.kind == "activation":
            return self._add_activation(node)
        if type(node.module) is DirectedMaxPool2d:
            return None  # the products with its directions, on both sides of its max-pool
        return f"{_noun(node)} is not known here"

    def _add_layer(self, node: Node) -> str | None:
        layer: Any = node.module
        kind = type(layer)
        if kind not in (QuantLinear, QuantConv2d):
            may_differ = isinstance(layer, QuantLinear | QuantConv2d)
            return f"{kind.__name__} {'may compute otherwise than' if may_differ else 'is not one of'} " + (
                "QuantLinear and QuantConv2d, the layers of a chain"
            )
        if any(block.layer is layer for block in self.blocks):
            return "is called more than once; in a chain each layer is called once"
        shape = node.input_shapes[0][1:]
        if kind is QuantLinear and len(shape) != 1:
            return (
                "a linear layer on an image needs an nn.Flatten before it"
                if len(shape) == 3
                else f"a linear layer on each row of {list(shape)}; in a chain it takes one vector"
            )
        if kind is QuantConv2d and self._flat:
            return "a convolution after flattening"
        self.blocks.append(Block(node.path, layer, flatten=self._flat))
        self._flat = self._activated = False
        return None

    def _add_reshape(self, node: Node) -> str | None:
        shape, (before,) = node.shape, node.input_shapes
        if base_name(node.target) in _IN_ORDER:
            if shape == before:
                return None
            if shape == (before[0], prod(before[1:])):
                self._flat = True
                return None
        return f"makes {list(shape[1:])} of {list(before[1:])}; in a chain all but the batch is flattened"

    def _add_norm(self, node: Node) -> str | None:
        block, norm = self.blocks[-1], node.module
        assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
        if block.norm is not None or self._activated:
            return "a BatchNorm after another or after an activation"
        if norm.running_mean is None:
            return "has no running statistics: it depends on the batch"
        if norm.num_features != block.channels:
            return f"normalizes {norm.num_features} channels of {block.channels}"
        block.norm = norm
        return None

    def _add_pool(self, node: Node) -> str | None:
        block, given = self.blocks[-1], node.arguments
        if block.pool is not None:
            return "a second max-pool after one layer"
        if node.target != "aten.max_pool2d.default":
            return f"{_noun(node)} is not known here"
        if given["ceil_mode"] or _pair(given["dilation"]) != (1, 1):
            return "max-pool with ceil_mode, dilation or indices"
        kernel = _pair(given["kernel_size"])
        block.pool = PoolWindow(kernel, _pair(given["stride"] or kernel), _pair(given["padding"]))
        block.pool_before_norm = block.norm is None
        if type(node.module) is DirectedMaxPool2d:
            block.pool_direction = node.module.direction
        return None

    def _add_activation(self, node: Node) -> str | None:
        if node.function not in ("relu", "hardtanh"):
            return f"{_noun(node)} is not known here"
        if self._activated and node.function != self.blocks[-1].activation:  # the same again changes nothing
            return "a second activation after one layer"
        self.blocks[-1].activation = node.function
        self._activated = True
        return None


def _pair(value: Any) -> tuple[int, int]:
    """Return (vertical, horizontal) of an operation's argument: two numbers, or one for both."""
    vertical, *rest = value
    return int(vertical), int(rest[0] if rest else vertical)
