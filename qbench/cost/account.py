"""The account of all that a network computes, by layers and by operations outside them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, prod
from typing import Literal

from torch import Tensor, nn

from qbench.cost.function_cost import float_product, function_cost, norm_cost
from qbench.cost.layer_cost import LayerCost, Stored, layer_cost
from qbench.nn.flow import flow
from qbench.nn.graph.capture import UncapturedError, capture
from qbench.nn.graph.example import example_batch
from qbench.nn.graph.graph import Graph
from qbench.nn.layer_calls import module_calls
from qbench.nn.meter import check_account, meter
from qbench.nn.norm import NORMS, ShiftNorm
from qbench.nn.quant_layer import QuantLayer, quant_layers
from qbench.nn.trace import TracedLayer, layer_shape, trace_graph
from qbench.nn.traced_norm import TracedNorm

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rows:
    """What the rows of a network's costs are made of.

    Attributes:
        layers: a row for each layer, and for each kind of operation in one module, in the order in which they run.
        kept_values: inputs and outputs of all products, which training keeps.
        uncounted_bytes: of parameters that belong to no row.
    """

    layers: tuple[LayerCost, ...]
    kept_values: int
    uncounted_bytes: int


@dataclass(frozen=True)
class Account:
    """What a network computes, whatever its quantizers are: `rows` counts it with those that it has now.

    Attributes:
        network: the network.
        source: "graph", or "meter" where its operations cannot be read.
    """

    network: nn.Module
    source: Literal["graph", "meter"]

    def rows(self) -> Rows:
        """Return the rows, in the formats that the network's layers have now."""
        stored = Stored()
        rows: dict[str, LayerCost] = {}
        kept = 0
        for row, values in self._calls(stored):
            rows[row.name] = rows[row.name] + row if row.name in rows else row
            kept += values
        # Codes and scales stand in the weights' place: their quantizers are not stored.
        weights = [layer.weight_quantizer for _, layer in quant_layers(self.network)]
        known = stored.parameters | {each for quantizer in weights if quantizer for each in quantizer.parameters()}
        uncounted = [parameter for parameter in self.network.parameters() if parameter not in known]
        return Rows(tuple(rows.values()), kept, sum(each.numel() * each.element_size() for each in uncounted))

    def _calls(self, stored: Stored) -> Iterator[tuple[LayerCost, int]]:
        """Yield the cost of each call, and the values that training keeps of it."""
        raise NotImplementedError


@dataclass(frozen=True)
class GraphAccount(Account):
    """An account by the network's graph."""

    graph: Graph

    def _calls(self, stored: Stored) -> Iterator[tuple[LayerCost, int]]:
        graph = self.graph
        parameters = dict(self.network.named_parameters(remove_duplicate=False))
        layers = iter(trace_graph(graph))
        own = {norm.name: norm.module for layer in graph.layers for norm in flow(graph, layer).norms}
        stored.parameters.update(parameter for norm in own.values() for parameter in norm.parameters())
        for node in graph.nodes:
            if node.kind == "layer":
                traced = next(layers)
                yield layer_cost(traced, stored), traced.layer_shape.inputs + traced.layer_shape.outputs
            elif node.name not in own:
                row = function_cost(graph, node, parameters, stored)
                if row is not None:
                    yield row, (row.input_bytes + row.output_bytes) // 4 if node.kind == "product" else 0


@dataclass(frozen=True)
class MeterAccount(Account):
    """An account by the calls of layers and BatchNorms on one example, and by a meter of all other products.

    What stands between them is not known: nothing folds, and every layer but the first reads and writes float32.
    """

    calls: tuple[TracedLayer | TracedNorm, ...]
    products: tuple[tuple[str, int], ...]

    def _calls(self, stored: Stored) -> Iterator[tuple[LayerCost, int]]:
        modules = dict(self.network.named_modules())
        for call in self.calls:
            if isinstance(call, TracedNorm):
                yield norm_cost(call, modules[call.name], stored), 0
            else:
                yield layer_cost(call, stored), call.layer_shape.inputs + call.layer_shape.outputs
        for name, macs in self.products:
            yield float_product(name, macs), 0


def account(network: nn.Module, input_shape: tuple[int, ...] | Tensor) -> Account:
    """Return the account of what a network computes in evaluation.

    It is read from the graph of the network's operations, and its MACs are held against those of a meter below the
    modules. Where no graph can be read, a warning says why, and the meter's are the account.

    Raises:
        UncapturedError: the network does not run on the example.
        UnaccountedError: the network runs other products than its graph shows.
    """
    try:
        graph = capture(network, input_shape)
    except UncapturedError as error:
        try:
            found = _metered_account(network, input_shape)
        except Exception as failed:  # it does not run on the example at all: the first error says where
            raise error from failed
        _log.warning("costs are counted from one run on zeros, and nothing folds: %s", error)
        return found
    by_module: dict[str, int] = {}
    for node in graph.nodes:
        macs = layer_shape(graph, node).macs if node.kind == "layer" else node.macs
        by_module[node.path] = by_module.get(node.path, 0) + macs
    check_account(by_module, meter(network, input_shape), dict(network.named_modules()))
    return GraphAccount(network, "graph", graph)


def _metered_account(network: nn.Module, input_shape: tuple[int, ...] | Tensor) -> MeterAccount:
    example = example_batch(input_shape, network)
    calls: list[TracedLayer | TracedNorm] = []
    for call in module_calls(network, example, lambda each: isinstance(each, QuantLayer) or type(each) in NORMS):
        values = prod(call.output_shape)
        if isinstance(call.module, QuantLayer):
            shape = call.module.layer_shape(call.input_shape, call.output_shape)
            first = not any(isinstance(each, TracedLayer) for each in calls)
            calls.append(TracedLayer(call.name, call.module, shape, output_elements=values, fed=first))
        else:
            calls.append(TracedNorm(values, isinstance(call.module, ShiftNorm), call.name))
    layers = {name for name, _ in quant_layers(network)}
    products = [
        (f"{each.path}: {each.operation}" if each.path else each.operation, ceil(each.macs))
        for each in meter(network, input_shape)
        if each.path not in layers
    ]
    return MeterAccount(network, "meter", tuple(calls), tuple(products))
