"""What comes into binary layers: signs are taken of it."""

from __future__ import annotations

import logging

from torch import nn

from qbench.errors import ConfigError, quoted
from qbench.nn.graph.graph import Graph
from qbench.nn.graph.node import Node
from qbench.nn.quant_layer import QuantLayer
from qbench.schemes.named import NamedSpec
from qbench.schemes.value_signs import Parts, Zeros, value_signs
from quantizers import BINARY

_log = logging.getLogger(__name__)

_REPLACED = "put an nn.ReLU (which the scheme replaces) or a qbench Activation in its place, or a BatchNorm after it"
_CALLED = "apply the scheme with the network's input_shape, so that it replaces ReLUs that are called as functions, too"
_CHOSEN = "take another activation_function than {} in the scheme (identity, hardtanh), or put a BatchNorm after it"


def check_signs(network: nn.Module, evaluation: Graph, training: Graph | None, function: NamedSpec) -> None:
    """Refuse, or warn of, what makes the signs of a binary layer's inputs say little; zero has the sign +1.

    Replaced when the scheme is applied, and no matter here: ReLU and ReLU6.

    Refused: values that are never negative (sigmoid, softmax, softplus, an absolute value, a ReLU that could not be
    replaced), for every sign would be +1; values that are exactly zero over a range of negative inputs (hard-swish,
    shrinkage, a threshold), whose sign would be +1 there.

    Warned of: zeros from padding in front of the layer, which become +1 where the layer's own padding adds nothing; and
    zeros from dropout, which become +1 in training.

    Args:
        network: quantized.
        evaluation, training: its operations; None where those of training cannot be read.
        function: the scheme's activation function, for messages.

    Raises:
        ConfigError: what is refused, by name.
    """
    told: set[tuple[str, Zeros]] = set()
    for graph in [evaluation] if training is None else [evaluation, training]:
        values = value_signs(graph)
        for node in graph.layers:
            layer = network.get_submodule(node.path)
            if isinstance(layer, QuantLayer) and layer.input_format == BINARY:
                parts = _inputs(values, node)
                _check(node, parts, function)
                for zeros in sorted({each for part in parts for each in part.zeros}, key=lambda each: each.node):
                    if (node.path, zeros) not in told:
                        told.add((node.path, zeros))
                        _log.warning("%s: %s", node.label, _warning(zeros))


def _inputs(values: dict[str, Parts], node: Node) -> Parts:
    return frozenset().union(*(values[name] for name in node.inputs))


def _check(node: Node, parts: Parts, function: NamedSpec) -> None:
    real = f"or leave the layer's input real by layers: {{{quoted(node.path)}: {{activations: null}}}}"
    for part in parts:
        is_relu = part.cause.startswith(("aten.relu", "aten.clamp", "aten.hardtanh"))
        chosen = function.name == "relu" or part.cause.endswith("Activation)")  # it fills a slot
        what = _CHOSEN.format(function) if chosen else _CALLED if is_relu else _REPLACED
        remedy = f"{what}; {real}"
        if part.sign == "nonnegative":
            share = "its binary input" if len(parts) == 1 else "a part of its binary input"
            raise ConfigError(
                f"{node.label}: {share} comes from {part.cause} and is never negative, so every sign would be +1; "
                f"{remedy}",
                "model",
            )
        for zeros in part.zeros:
            if zeros.kind == "function":
                raise ConfigError(
                    f"{node.label}: its binary input comes from {zeros.node}, which is exactly 0 over a range of "
                    f"negative inputs, and the sign of 0 is +1; {remedy}",
                    "model",
                )


def _warning(zeros: Zeros) -> str:
    if zeros.kind == "dropout":
        return (
            f"its binary input comes from {zeros.node}: in training every dropped value becomes 0, whose sign is +1, "
            "and counts as much as any other; drop after the sign by the layer's own dropout (QuantLinear(dropout=p))"
        )
    return (
        f"its binary input comes from {zeros.node}: the zeros put in become +1, whose sign they have, and count as "
        "much as any other; the padding of the convolution itself adds nothing"
    )


def tell_signs(network: nn.Module, graph: Graph) -> None:
    """Tell every layer's input quantizer whether its inputs can be negative, where the operations say so.

    They do not of values of the network's own input.
    """
    values = value_signs(graph)
    found: dict[QuantLayer, Parts] = {}
    for node in graph.layers:
        layer = network.get_submodule(node.path)
        if isinstance(layer, QuantLayer) and layer.input_quantizer is not None:
            found[layer] = found.get(layer, frozenset()) | _inputs(values, node)
    for layer, parts in found.items():
        signs = {each.sign for each in parts}
        if layer.input_quantizer is not None and signs != {"data"} and ("any" in signs or "data" not in signs):
            layer.input_quantizer.expect_nonnegative(signs == {"nonnegative"})
