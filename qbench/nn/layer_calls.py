"""The calls of a network's modules, watched while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from qbench.nn.evaluation_mode import evaluating, plain_execution
from qbench.nn.hooks import hooked
from qbench.nn.layer_shape import LayerShape
from qbench.nn.quant_layer import QuantLayer, quantizing_only


@dataclass(frozen=True)
class ModuleCall:
    """One call of a module: its name, the module, and the shapes of its input and output for one example."""

    name: str
    module: nn.Module
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer: its name, the layer, and its shape for one example."""

    name: str
    layer: QuantLayer
    layer_shape: LayerShape


def module_calls(network: nn.Module, example: Tensor, which: Callable[[nn.Module], bool]) -> list[ModuleCall]:
    """Return the calls of the modules that `which` picks, when the network evaluates `example [B, ...]`, in order.

    This needs no graph: it also serves a network whose operations depend on data, whose calls are then those of this
    example. The quantizers do not run, and the network is left as it was.
    """
    names = {module: name for name, module in network.named_modules() if which(module)}
    found: list[ModuleCall] = []

    def after(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        found.append(ModuleCall(names[module], module, tuple(inputs[0].shape[1:]), tuple(output.shape[1:])))

    with evaluating(network), quantizing_only(network), plain_execution(), hooked(names, after=after):
        network(example)
    return found


def layer_calls(network: nn.Module, example: Tensor) -> list[LayerCall]:
    """Return the calls of quantizable layers when the network evaluates `example`; see `module_calls`."""
    return [
        LayerCall(call.name, call.module, call.module.layer_shape(call.input_shape, call.output_shape))
        for call in module_calls(network, example, lambda module: isinstance(module, QuantLayer))
        if isinstance(call.module, QuantLayer)
    ]
