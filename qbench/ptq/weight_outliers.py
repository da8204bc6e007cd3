"""Outliers among a network's weights, which its ranges are to leave out."""

from __future__ import annotations

from torch import Tensor, nn

from qbench.nn.graph.capture import UncapturedError, capture
from qbench.nn.graph.graph import Graph
from qbench.nn.graph.kinds import keeps_values
from qbench.nn.graph.node import Node
from qbench.nn.quant_layer import QuantLayer, quant_layers
from qbench.schemes.value_signs import value_signs
from quantizers import OutlierReport, analyse_outliers


def outlier_reports(
    network: nn.Module, sigmas: float, input_shape: tuple[int, ...] | Tensor | None = None
) -> dict[str, OutlierReport]:
    """Return what `analyse_outliers` finds in each layer's weights, by layer name.

    It looks for channels that never fire where the operations show that all results of a layer go to a ReLU (through
    max-pools), and the range of its input is known.

    Args:
        network: quantized, its inputs calibrated.
        sigmas: robust standard deviations beyond which a weight is an outlier.
        input_shape: of one example, without the batch, or a batch of examples. Without it, and where the operations
            depend on the data, no channel is taken to be silent.
    """
    ranges = {} if input_shape is None else _ranges_before_relus(network, input_shape)
    found = {}
    for name, layer in quant_layers(network):
        weight, bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()
        found[name] = analyse_outliers(weight, bias, ranges.get(name), sigmas)
    return found


def _ranges_before_relus(network: nn.Module, input_shape: tuple[int, ...] | Tensor) -> dict[str, tuple[float, float]]:
    """Return the lowest and the highest input of each layer before a ReLU, as far as they are known, by its name."""
    try:
        graph = capture(network, input_shape)
    except UncapturedError:
        return {}
    signs = value_signs(graph)
    found = {}
    for name, layer in quant_layers(network):
        calls = [node for node in graph.layers if node.module is layer]
        limits = _limits(layer)
        if limits is None or not calls or not all(_goes_to_relu(graph, node) for node in calls):
            continue
        inputs = [part for node in calls for source in node.inputs for part in signs[source]]
        # A symmetric format covers values below zero that a ReLU never sends.
        low = 0.0 if all(part.sign == "nonnegative" for part in inputs) else limits[0]
        found[name] = low, limits[1]
    return found


def _limits(layer: QuantLayer) -> tuple[float, float] | None:
    """Return the lowest and the highest input that a layer's quantizer lets through; None where it has no limits."""
    encoding = None if layer.input_quantizer is None else layer.input_quantizer.encoding()
    if encoding is None or encoding.format.kind not in ("integer", "odd", "table"):
        return None
    return float(encoding.low.min()), float(encoding.high.max())


def _goes_to_relu(graph: Graph, layer: Node) -> bool:
    """Whether a ReLU takes the result of `layer`, and nothing else does."""
    node = graph.sole_user(layer)
    while node is not None and (keeps_values(node) or node.kind == "max_pool"):
        node = graph.sole_user(node)
    return node is not None and node.kind == "activation" and node.function == "relu"
