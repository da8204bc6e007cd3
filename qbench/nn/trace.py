"""A network's quantizable layers as one forward pass meets them: shapes, order, and where their results go."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from qbench.nn.hooks import hooked
from qbench.nn.layer_shape import LayerShape
from qbench.nn.norm import ShiftNorm
from qbench.nn.quant_layer import QuantLayer
from qbench.nn.tensor_uses import TensorUses
from qbench.nn.traced_norm import TracedNorm


@dataclass(frozen=True)
class TracedLayer:
    """A quantizable layer as one forward pass met it.

    Attributes:
        name, layer, layer_shape: of the layer.
        norms: each BatchNorm between it and the next layer; the first layer has those before it as well.
        output_elements: values handed to the next layer (after pooling), or the network's scores.
        direct: whether its result reaches the next layer through modules and reshapes alone, and nothing else reads it
            on the way. Only then is it enough to keep it in the next layer's input format; a shortcut needs the real
            values.
    """

    name: str
    layer: QuantLayer
    layer_shape: LayerShape
    norms: tuple[TracedNorm, ...] = ()
    output_elements: int = 0
    direct: bool = True


class _Tracer:
    """Collects layers and norms from hooks, while a forward pass runs."""

    def __init__(self, network: nn.Module) -> None:
        self._names = {module: name for name, module in network.named_modules()}
        self._uses = TensorUses()
        self._found: list[dict[str, Any]] = []
        self._outputs: list[Tensor] = []
        self._leading: tuple[TracedNorm, ...] = ()

    def run(self, network: nn.Module, example: Tensor) -> list[TracedLayer]:
        """Return the layers that `network(example)` runs, in order."""
        watched = [module for module in self._names if isinstance(module, QuantLayer) or not list(module.children())]
        with hooked(watched, before=self._uses.enter, after=self._after), self._uses:
            network(example)
        return [
            TracedLayer(**layer, direct=self._uses.is_direct(output, QuantLayer))
            for layer, output in zip(self._found, self._outputs, strict=True)
        ]

    def _after(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self._uses.leave(module, inputs, output)
        if isinstance(module, QuantLayer):
            self._add_layer(module, inputs[0], output)
        elif isinstance(module, _BatchNorm):
            self._add_norm(TracedNorm(prod(output.shape[1:]), isinstance(module, ShiftNorm)))
        if self._found:
            self._found[-1]["output_elements"] = prod(output.shape[1:])

    def _add_layer(self, layer: QuantLayer, x: Tensor, output: Tensor) -> None:
        layer_shape = layer.layer_shape(tuple(x.shape[1:]), tuple(output.shape[1:]))
        if self._found:
            self._found[-1]["output_elements"] = layer_shape.inputs
        self._found.append(
            {"name": self._names[layer], "layer": layer, "layer_shape": layer_shape, "norms": self._leading}
        )
        self._outputs.append(output)
        self._leading = ()

    def _add_norm(self, norm: TracedNorm) -> None:
        if self._found:
            self._found[-1]["norms"] += (norm,)
        else:
            self._leading += (norm,)


@torch.no_grad()
def trace(network: nn.Module, input_shape: tuple[int, ...]) -> list[TracedLayer]:
    """Return the quantizable layers in the order of execution, found by one forward pass of one zero example.

    Normalization after a layer is taken to be the layer's own; a branching network's additions are not traced. The
    network is left in the mode it was in.
    """
    training = network.training
    reference = next(network.parameters())
    example = torch.zeros(1, *input_shape, device=reference.device, dtype=reference.dtype)
    try:
        return _Tracer(network).run(network.eval(), example)
    finally:
        network.train(training)
