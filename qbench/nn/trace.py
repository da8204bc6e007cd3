"""A network's quantizable layers as one forward pass meets them: shapes, order, and where their results go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from qbench.nn.folding import ShiftNorm
from qbench.nn.layer_shape import LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_layer import QuantLayer

_RESHAPES = (torch.flatten, torch.reshape, Tensor.flatten, Tensor.reshape, Tensor.view, torch.squeeze, Tensor.squeeze)


@dataclass(frozen=True)
class TracedNorm:
    """A BatchNorm as one forward pass met it: how many values it normalizes, and whether by shifts."""

    values: int
    shifts: bool = False

    @property
    def numbers(self) -> int:
        """float32 numbers per channel at inference: scale and shift; of a shift-based one the mean as well."""
        return 3 if self.shifts else 2

    @property
    def operations(self) -> Operations:
        """Scale and shift. A shift-based one subtracts the mean, adds to the exponent, and adds the shift."""
        if self.shifts:
            return Operations(fp32_add=2 * self.values, int32_add=self.values)
        return Operations(fp32_mul=self.values, fp32_add=self.values)


@dataclass(frozen=True)
class TracedLayer:
    """A quantizable layer as one forward pass met it.

    Attributes:
        name, layer, layer_shape: of the layer.
        norms: each BatchNorm between it and the next layer; the first layer has those before it as well.
        output_elements: values handed to the next layer (after pooling), or the network's scores.
        direct: its result reaches the next layer through modules and reshapes alone, and nothing else reads it on the
            way. Only then the next layer's format is all that has to be kept of it; past a shortcut go real values.
    """

    name: str
    layer: QuantLayer
    layer_shape: LayerShape
    norms: tuple[TracedNorm, ...] = ()
    output_elements: int = 0
    direct: bool = True


@dataclass
class _Use:
    """A tensor taken by a leaf module or, in a forward of one's own, by a function (module None)."""

    module: nn.Module | None
    output: Tensor | None = None


@dataclass
class _Uses(TorchFunctionMode):
    """Who takes each tensor, while a forward pass runs under it and leaf modules report to it."""

    depth: int = 0
    of: dict[int, list[_Use]] = field(default_factory=dict)
    kept: list[Tensor] = field(default_factory=list)  # an id is of one tensor as long as the tensor lives

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if not self.depth and isinstance(output, Tensor):
            for taken in tree_leaves((args, kwargs)):
                if isinstance(taken, Tensor):
                    self.add(taken, _Use(None, output if func in _RESHAPES else None))
        return output

    def enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.depth += 1

    def leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        self.depth -= 1
        if not self.depth:
            for taken in tree_leaves(inputs):
                if isinstance(taken, Tensor):
                    self.add(taken, _Use(module, output if isinstance(output, Tensor) else None))

    def add(self, taken: Tensor, use: _Use) -> None:
        if use.output is not taken:  # what returns its input, as the identity does, is no use of it
            self.of.setdefault(id(taken), []).append(use)
            self.kept += [taken] if use.output is None else [taken, use.output]

    def is_direct(self, output: Tensor) -> bool:
        """Whether `output` goes to a quantizable layer, or to the end, and nowhere else."""
        while uses := self.of.get(id(output)):
            if len(uses) > 1 or uses[0].output is None:
                return False
            if isinstance(uses[0].module, QuantLayer):
                return True
            output = uses[0].output
        return True


@torch.no_grad()
def trace(network: nn.Module, input_shape: tuple[int, ...]) -> list[TracedLayer]:
    """The quantizable layers in the order of execution, found by one forward pass of one zero example.

    Normalization after a layer is taken to be the layer's own; a branching network's additions are not traced.
    """
    found: list[dict[str, Any]] = []
    outputs: list[Tensor] = []
    leading: tuple[TracedNorm, ...] = ()
    names = {module: name for name, module in network.named_modules()}
    uses = _Uses()

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal leading
        shape = tuple(output.shape[1:])
        if isinstance(module, QuantLayer):
            layer_shape = module.layer_shape(tuple(inputs[0].shape[1:]), shape)
            if found:
                found[-1]["output_elements"] = layer_shape.inputs
            found.append({"name": names[module], "layer": module, "layer_shape": layer_shape, "norms": leading})
            outputs.append(output)
            leading = ()
        elif isinstance(module, _BatchNorm):
            norm = TracedNorm(prod(shape), isinstance(module, ShiftNorm))
            if found:
                found[-1]["norms"] += (norm,)
            else:
                leading += (norm,)
        if found:
            found[-1]["output_elements"] = prod(shape)

    handles = []
    for module in network.modules():
        if isinstance(module, QuantLayer) or not list(module.children()):
            handles.append(module.register_forward_pre_hook(uses.enter))
            handles += [module.register_forward_hook(each) for each in (uses.leave, hook)]
    training = network.training
    reference = next(network.parameters())
    try:
        with uses:
            network.eval()(torch.zeros(1, *input_shape, device=reference.device, dtype=reference.dtype))
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    return [TracedLayer(**layer, direct=uses.is_direct(output)) for layer, output in zip(found, outputs, strict=True)]
