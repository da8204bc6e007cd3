"""The layers of a network that a scheme may quantize, and their places among all that multiply."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from qbench.nn.graph.graph import Graph
from qbench.nn.graph.node import Node
from qbench.nn.graph.whole import FLOAT_LAYERS
from qbench.nn.quant_layer import QuantLayer


@dataclass(frozen=True)
class Places:
    """The layers that a network calls, and their positions.

    Attributes:
        layers: name to module, in the order of their first call (without a graph: of declaration): quantizable layers,
            torch's own that could become one, and subclasses of these.
        positions: of each layer, from 0. Everything that multiplies by weights takes a position: with an LSTM in front,
            no layer is the first.
        count: positions in all.
        uncalled: names of layers that no forward calls as layers; empty without a graph.
    """

    layers: dict[str, nn.Module]
    positions: dict[str, int]
    count: int
    uncalled: tuple[str, ...] = ()


def find_places(network: nn.Module, graph: Graph | None) -> Places:
    """Return the layers of `network` and their positions: of execution, as `graph` has it, or of declaration."""
    candidates = {name: module for name, module in network.named_modules() if _is_candidate(module)}
    if graph is None:
        called = [name for name, module in candidates.items() if type(module) is not NonDynamicallyQuantizableLinear]
    else:
        found = (_multiplier(graph, node, candidates) for node in graph.nodes)
        called = list(dict.fromkeys(name for name in found if name is not None))
    return Places(
        layers={name: candidates[name] for name in called if name in candidates},
        positions={name: position for position, name in enumerate(called)},
        count=len(called),
        uncalled=() if graph is None else tuple(name for name in candidates if name not in called),
    )


def _multiplier(graph: Graph, node: Node, candidates: dict[str, nn.Module]) -> str | None:
    """Return the name of the layer, or of the other module, whose weights an operation multiplies by; None for none."""
    if node.kind == "layer":
        return node.path
    if node.kind != "product":
        return None
    # A subclass with a forward of its own is no operation of its own: its products, or those within it, are.
    parts = node.path.split(".")
    parents = [".".join(parts[: end + 1]) for end in range(len(parts))]
    inside = next((name for name in parents if name in candidates), None)
    if inside is not None:
        return inside
    weighted = node.parameters or any(not graph.depends_on_input(each) for each in graph.producers(node))
    return node.path if weighted else None


def _is_candidate(module: nn.Module) -> bool:
    return isinstance(module, (QuantLayer, *FLOAT_LAYERS))
