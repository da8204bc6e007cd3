"""What operations outside the layers cost: float products, additions, norms that stand alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

from torch import nn

from qbench.cost.layer_cost import LayerCost, Stored
from qbench.nn.flow import elements, latest, of_one_example, operands, origin
from qbench.nn.graph.graph import Graph
from qbench.nn.graph.kinds import base_name
from qbench.nn.graph.node import Node
from qbench.nn.operations import Operations
from qbench.nn.trace import traced_norm
from qbench.nn.traced_norm import TracedNorm

Count = Callable[[int], Operations]
_OF_TWO: dict[str, Count] = {
    **dict.fromkeys(("add", "sub", "rsub"), lambda values: Operations(fp32_add=values)),
    **dict.fromkeys(("mul", "div"), lambda values: Operations(fp32_mul=values)),
}
"""Operations of a result's values, where two tensors are combined, one of which may be a parameter: one for each. A
division is priced as a multiplication. With a number, it is taken for a part of what stands beside it."""
_NORMS: dict[str, Count] = {
    # Scale and shift.
    "batch_norm": lambda values: Operations(fp32_mul=values, fp32_add=values),
    # The sum for the mean, its subtraction, the sum of squares, the shift; the squares, both scales.
    **dict.fromkeys(
        ("layer_norm", "group_norm", "instance_norm", "native_layer_norm"),
        lambda values: Operations(fp32_add=4 * values, fp32_mul=3 * values),
    ),
    # The same without a mean and a shift.
    "rms_norm": lambda values: Operations(fp32_add=values, fp32_mul=3 * values),
}
"""Operations of a norm's values, a few for each. Activation functions, softmax and pools are counted nowhere."""

Parameters = Mapping[str, nn.Parameter]


def function_cost(graph: Graph, node: Node, parameters: Parameters, stored: Stored) -> LayerCost | None:
    """Count an operation that is no layer, nor a norm behind one; None where it costs nothing.

    - A product multiplies and adds in float32 once a MAC, reads its inputs and writes its result.
    - A sum, a product or a quotient of single values is computed on the way from one layer to the next: it reads what
      waits for its other operand (see `Flow`).
    - A norm is computed on the way, too.

    Args:
        graph, node: the operation.
        parameters: the network's, by every name that they have.
        stored: what the rows before store; what this one does is added.
    """
    if node.kind == "norm":
        return norm_cost(traced_norm(graph, node), node.module, stored)
    own = [parameters[name] for name in node.parameters if name in parameters]
    if node.kind == "product":
        return _product(graph, node, own, stored)
    name = base_name(node.target)
    if not graph.depends_on_input(node):
        return None
    taken = operands(graph, node)
    count = _NORMS.get(name) or (_OF_TWO.get(name) if len(taken) + len(own) > 1 else None)
    if count is None:
        return None
    waiting = sum(_stored_elements(graph, each) for each in taken if each is not latest(graph, node))
    values = elements(graph, node)
    # Running statistics are no parameters: with weight and bias they are one scale and one shift a channel.
    channels = max((len(parameter) for parameter in own if parameter.dim() == 1), default=0)
    stored_bytes = stored.float_bytes(*own)
    if name == "batch_norm" and stored_bytes:
        stored_bytes = 4 * 2 * channels
    return LayerCost(
        name=_name(node),
        op="float",
        weight_format="float32",
        input_format="float32",
        weights=0,
        macs=0,
        operations=count(values),
        weight_bytes=0,
        scale_bytes=0,
        other_bytes=stored_bytes,
        input_bytes=4 * waiting,
        output_bytes=0,
        peak_bytes=4 * (waiting + values) if waiting else 0,
    )


def _stored_elements(graph: Graph, operand: Node) -> int:
    """Return how many values are read for an operand that waits: of a shortcut those that it is made of."""
    source = origin(graph, operand)
    return elements(graph, operand if source.kind in ("layer", "product") else source)


def norm_cost(norm: TracedNorm, module: nn.Module, stored: Stored) -> LayerCost:
    """Count a call of a BatchNorm that is not directly behind a layer: scale and shift in float32."""
    norm = replace(norm, stored=norm.name in stored.norms)
    stored.norms.add(norm.name)
    stored.parameters.update(module.parameters())
    channels = int(module.num_features)  # type: ignore[arg-type]
    return LayerCost(
        name=norm.name,
        op="float",
        weight_format="float32",
        input_format="float32",
        weights=0,
        macs=0,
        operations=norm.operations,
        weight_bytes=0,
        scale_bytes=0,
        other_bytes=4 * norm.numbers * channels,
        input_bytes=0,
        output_bytes=0,
    )


def _product(graph: Graph, node: Node, own: list[nn.Parameter], stored: Stored) -> LayerCost:
    """Count a product: matrices among its parameters are its weights, the others its biases."""
    matrices = [parameter for parameter in own if parameter.dim() > 1]
    weights = sum(stored.new_values(parameter) for parameter in dict.fromkeys(matrices))
    taken = sum(
        prod(of_one_example(graph, before, shape))
        for before, shape in zip(graph.producers(node), node.input_shapes, strict=True)
        if graph.depends_on_input(before)  # not the zeros at which a recurrence starts
    )
    given = elements(graph, node)
    return float_product(
        name=_name(node),
        macs=node.macs,
        weights=weights,
        weight_bytes=4 * stored.float_values(*matrices),
        other_bytes=stored.float_bytes(*own),
        values=(taken, given),
    )


def float_product(
    name: str,
    macs: int,
    weights: int = 0,
    weight_bytes: int = 0,
    other_bytes: int = 0,
    values: tuple[int, int] = (0, 0),
) -> LayerCost:
    """Return the row of products in float32, which take and give so many `values`."""
    taken, given = (4 * count for count in values)
    return LayerCost(
        name=name,
        op="float",
        weight_format="float32",
        input_format="float32",
        weights=weights,
        macs=macs,
        operations=Operations(fp32_mul=macs, fp32_add=macs),
        weight_bytes=weight_bytes,
        scale_bytes=0,
        other_bytes=other_bytes,
        input_bytes=taken,
        output_bytes=given,
        peak_bytes=taken + given,
    )


def _name(node: Node) -> str:
    name = base_name(node.target)
    return f"{node.path}: {name}" if node.path else name
