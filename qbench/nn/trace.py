"""A network's quantizable layers, each call of one: shapes, order, and where their results go."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from torch import Tensor, nn

from qbench.nn.flow import comes_from_input, elements, flow, of_one_example
from qbench.nn.graph.capture import capture
from qbench.nn.graph.graph import Graph
from qbench.nn.graph.node import Node
from qbench.nn.layer_shape import LayerShape
from qbench.nn.norm import ShiftNorm
from qbench.nn.quant_layer import QuantLayer
from qbench.nn.traced_norm import TracedNorm


@dataclass(frozen=True)
class TracedLayer:
    """One call of a layer, as the network's graph has it.

    Attributes:
        name: of the layer; one that is called twice is there twice.
        layer: a `QuantLayer`; in `trace_graph` one of torch's own, too, which computes in float32.
        layer_shape: of this call.
        norms: the BatchNorms right behind it; see `Flow`.
        output_elements: values that are stored for what comes next (after pooling), or the network's scores.
        reader: the layer that alone reads them, through functions of this result alone. It is then enough to keep them
            in that layer's input format; a shortcut, or another operation, needs the real values.
        rising: whether nothing but what keeps the order of values stands between the norms and the reader: before a
            sign, the last norm is then a comparison.
        fed: whether its input is stored in its own input format: that of the network, or of a layer whose only reader
            it is.
    """

    name: str
    layer: Any
    layer_shape: LayerShape
    norms: tuple[TracedNorm, ...] = ()
    output_elements: int = 0
    reader: nn.Module | None = None
    rising: bool = True
    fed: bool = True


def trace(network: nn.Module, input_shape: tuple[int, ...] | Tensor) -> list[TracedLayer]:
    """Return the calls of quantizable layers in evaluation, in the order of execution.

    The network is left as it was.

    Args:
        input_shape: of one example, without the batch; or a batch of examples.

    Raises:
        UncapturedError: see `capture`.
    """
    return [each for each in trace_graph(capture(network, input_shape)) if isinstance(each.layer, QuantLayer)]


def trace_graph(graph: Graph) -> list[TracedLayer]:
    """Return the calls of layers, torch's own included, in the order of execution."""
    flows = {node.name: flow(graph, node) for node in graph.layers}
    fed = {found.reader.name for found in flows.values() if found.reader is not None and not found.joined}
    return [
        TracedLayer(
            name=node.path,
            layer=node.module,
            layer_shape=layer_shape(graph, node),
            norms=tuple(traced_norm(graph, norm) for norm in found.norms),
            output_elements=elements(graph, found.end),
            reader=None if found.reader is None or found.joined else found.reader.module,
            rising=found.rising,
            fed=node.name in fed or comes_from_input(graph, node),
        )
        for node in graph.layers
        for found in (flows[node.name],)
    ]


def traced_norm(graph: Graph, node: Node) -> TracedNorm:
    """Return what a call of a BatchNorm costs."""
    return TracedNorm(elements(graph, node), isinstance(node.module, ShiftNorm), node.path)


def layer_shape(graph: Graph, node: Node) -> LayerShape:
    """Return the shape of a layer's call for one example."""
    taken = node.input_shapes[0] if node.input_shapes else _parameter(graph, node.parameters[0]).shape
    layer = node.module
    shapes = of_one_example(graph, node, taken), of_one_example(graph, node, node.shape)
    if isinstance(layer, QuantLayer):
        return layer.layer_shape(*shapes)
    return plain_layer_shape(layer, *shapes)


def _parameter(graph: Graph, name: str) -> Tensor:
    """Return the network's parameter or buffer of this name."""
    found: Tensor = attrgetter(name)(graph.network)
    return found


def plain_layer_shape(layer: nn.Module, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> LayerShape:
    """Return the shape of a call of one of torch's own layers, with what counts need of it: no padding or stride.

    >>> plain_layer_shape(nn.Conv1d(4, 6, 3, groups=2), (4, 10), (6, 8)).macs
    288
    """
    if isinstance(layer, nn.Embedding):
        sizes = (layer.num_embeddings, layer.embedding_dim)
        return LayerShape.without_window("embedding", *sizes, input_shape, output_shape)
    if isinstance(layer, nn.Linear):
        return LayerShape.without_window("linear", layer.in_features, layer.out_features, input_shape, output_shape)
    assert isinstance(layer, nn.Conv1d | nn.Conv2d)
    kernel = (1, layer.kernel_size[0]) if isinstance(layer, nn.Conv1d) else layer.kernel_size
    sizes = (layer.in_channels, layer.out_channels)
    return LayerShape(
        "conv2d", *sizes, (kernel[0], kernel[1]), (1, 1), (0, 0), (1, 1), layer.groups, input_shape, output_shape
    )
