"""What a graph shows of the signs of its values: which cannot be negative, and which are zero by design."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Literal

from qbench.nn.graph.graph import Graph
from qbench.nn.graph.kinds import base_name
from qbench.nn.graph.node import Node

Sign = Literal["data", "any", "nonnegative"]
"""The sign of values: as the network's input has it; either; never below zero."""


@dataclass(frozen=True)
class Zeros:
    """Why values are exactly zero.

    Attributes:
        kind: "dropout", "padding", or "function": one that is 0 over a range of its input, as hard-swish.
        node: the operation, for messages.
    """

    kind: Literal["dropout", "padding", "function"]
    node: str


@dataclass(frozen=True)
class Values:
    """What is known of a tensor's values, or of a part of them.

    Attributes:
        sign: see `Sign`.
        cause: the operation, for messages, that made them nonnegative; "" for others.
        zeros: why some of them are exactly zero.
    """

    sign: Sign
    cause: str = ""
    zeros: frozenset[Zeros] = frozenset()


Parts = frozenset[Values]
"""What is known of a tensor: of each of the parts that it is concatenated from."""

_ANY: Parts = frozenset({Values("any")})
_PARTS = 64  # more are taken for one of either sign

# Operations of kind `other` whose values are some of their input's, or means or sums of such.
_TAKEN = {"slice", "select", "getitem", "chunk", "split", "split_with_sizes", "tensor_split", "unbind", "index",
          "index_select", "gather", "narrow", "take", "expand", "expand_as", "repeat", "repeat_interleave", "tile",
          "broadcast_to", "mean", "sum", "cumsum", "amax", "amin", "max", "min", "median", "topk", "sort", "flip",
          "roll", "rot90", "unfold", "im2col", "sqrt", "upsample_nearest1d", "upsample_nearest2d",
          "upsample_nearest3d", "upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d", "masked_select",
          "diagonal", "tril", "triu", "as_strided", "ceil", "floor", "round", "log1p", "reciprocal", "rsqrt",
          "native_dropout"}  # fmt: skip


def value_signs(graph: Graph) -> dict[str, Parts]:
    """Return what is known of the values of each operation, by its name.

    Every operation is judged by what it is, never by numbers: a product, a norm or an operation that is not known
    gives values of either sign; a ReLU, a sigmoid, an absolute value nonnegative ones, which stay so through pools,
    reshapes, slices, sums and products among themselves.
    """
    found: dict[str, Parts] = {}
    for node in graph.nodes:
        parts = _of(node, [found[name] for name in node.inputs])
        found[node.name] = parts if len(parts) <= _PARTS else _ANY
    return found


def _of(node: Node, inputs: list[Parts]) -> Parts:
    match node.kind:
        case "input":
            return frozenset({Values("data")})
        case "activation":
            return _each(inputs, lambda values: _activation(node, values))
        case "max_pool" | "average_pool" | "reshape":
            return _union(inputs)
        case "identity":
            return _each(inputs, lambda values: _dropout(node, values))
        case "pad":
            return _each(inputs, lambda values: _padded(node, values))
        case "concatenate":
            return _union(inputs) if not node.parameters else _union(inputs) | _ANY
        case "add":
            return _sum(node, inputs)
        case "other":
            return _other(node, inputs)
    return _ANY


def _each(inputs: list[Parts], change: Callable[[Values], Values]) -> Parts:
    return frozenset(change(values) for values in _union(inputs))


def _union(inputs: Iterable[Parts]) -> Parts:
    return frozenset().union(*inputs) or _ANY


def _activation(node: Node, values: Values) -> Values:
    function, facts = node.function or "", node.facts
    low = node.arguments.get("min", node.arguments.get("min_val"))
    if facts.nonnegative or (function == "clamp" and low is not None and low >= 0):
        return Values("nonnegative", values.cause if values.sign == "nonnegative" else node.label, values.zeros)
    zeros = values.zeros
    if facts.zero_over_a_range and (function != "threshold" or node.arguments.get("value") == 0):
        zeros = zeros | {Zeros("function", node.label)}
    if facts.keeps_sign:
        return replace(values, zeros=zeros)
    if function == "threshold" and (node.arguments.get("threshold", -1) >= 0 <= node.arguments.get("value", -1)):
        return Values("nonnegative", node.label, zeros)
    return Values("any", zeros=zeros if function == "threshold" else frozenset())


def _dropout(node: Node, values: Values) -> Values:
    """Dropout in training puts zeros in; feature dropout does, alpha dropout does not."""
    name = base_name(node.target)
    drops = name in ("dropout", "feature_dropout", "native_dropout") and node.arguments.get("p", 1) > 0
    if drops and node.arguments.get("train", False):
        return replace(values, zeros=values.zeros | {Zeros("dropout", node.label)})
    return values


def _padded(node: Node, values: Values) -> Values:
    if node.arguments.get("mode", "constant") != "constant" or base_name(node.target).startswith(("refl", "repl")):
        return values
    value = node.arguments.get("value") or 0
    sizes: Any = node.arguments.get("pad", node.arguments.get("padding", [1]))
    if max(sizes) <= 0:
        return values  # a crop
    if value == 0:
        return replace(values, zeros=values.zeros | {Zeros("padding", node.label)})
    return values if value > 0 else Values("any", zeros=values.zeros)


def _sum(node: Node, inputs: list[Parts]) -> Parts:
    """Return what is known of a sum: nonnegative if every term is; zero by design only if every term is."""
    number = node.arguments.get("other", 0)
    if node.parameters or node.arguments.get("alpha", 1) != 1 or not isinstance(number, int | float) or number < 0:
        return _ANY
    found = set()
    for terms in product(*inputs):
        zeros = [values.zeros for values in terms]
        common = frozenset().union(*zeros) if all(zeros) and number == 0 else frozenset()
        sign: Sign = "any"
        if all(values.sign == "nonnegative" for values in terms):
            sign = "nonnegative"
        elif all(values.sign != "any" for values in terms):
            sign = "data"
        found.add(Values(sign, terms[0].cause if sign == "nonnegative" else "", common))
    return frozenset(found)


def _other(node: Node, inputs: list[Parts]) -> Parts:
    name = base_name(node.target)
    if not inputs:
        return _ANY
    if name in _TAKEN:
        return _union(inputs)
    if name in ("mul", "div", "multiply", "divide"):
        return _scaled(node, inputs)
    if name == "pow" and node.arguments.get("exponent") in (2, 4):
        return _each(inputs, lambda values: Values("nonnegative", node.label, values.zeros))
    if name == "maximum":
        certain = [values for parts in inputs for values in parts if values.sign == "nonnegative"]
        return frozenset(certain[:1]) or _ANY
    if name == "masked_fill":
        return _each(inputs[:1], lambda values: _filled(node, values))
    return _ANY


def _filled(node: Node, values: Values) -> Values:
    value = node.arguments.get("value")
    if value == 0:
        return replace(values, zeros=values.zeros | {Zeros("padding", node.label)})
    return values if value is not None and value > 0 else Values("any", zeros=values.zeros)


def _scaled(node: Node, inputs: list[Parts]) -> Parts:
    """Return what is known of a product of single values: nonnegative if every factor is; zero where one is."""
    number = node.arguments.get("other", 1)
    known = isinstance(number, int | float) and number > 0 and not node.parameters
    found = set()
    for factors in product(*inputs):
        zeros = frozenset().union(*(values.zeros for values in factors))
        signs = {values.sign for values in factors}
        if known and signs == {"nonnegative"}:
            found.add(Values("nonnegative", factors[0].cause, zeros))
        else:
            found.add(Values("data" if known and "any" not in signs else "any", zeros=zeros))
    return frozenset(found)
