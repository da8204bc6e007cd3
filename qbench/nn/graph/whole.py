"""The modules whose calls are one operation of a graph each, and that operation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn

from qbench.nn.activation import Activation
from qbench.nn.norm import NORMS
from qbench.nn.quant_layer import QuantLayer

FLOAT_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding)
"""torch's own layers whose call is one operation; a subclass with a forward of its own is looked into."""


def is_called_whole(module: nn.Module) -> bool:
    """Whether a call of `module` is one operation of a graph: a layer, a BatchNorm that is known, or a slot."""
    if isinstance(module, QuantLayer | Activation) or type(module) in NORMS:
        return True
    return is_plain_layer(module)


def is_plain_layer(module: nn.Module) -> bool:
    """Whether `module` computes as one of FLOAT_LAYERS does: no forward, parametrization or parameters of its own."""
    for kind in FLOAT_LAYERS:
        if isinstance(module, kind):
            inherited = all(
                getattr(type(module), name, None) is getattr(kind, name, None) and name not in vars(module)
                for name in ("forward", "__call__", "_conv_forward")
            )
            return (
                inherited and set(module._parameters) <= {"weight", "bias"} and not hasattr(module, "parametrizations")
            )
    return False


# A module that is called whole is, while `called_whole` lasts, a call of this operation, which no export looks into.
_LIBRARY = torch.library.Library("qbench", "DEF")
_LIBRARY.define("whole(Tensor x, str name) -> Tensor")
_SHAPES: dict[str, Callable[[Tensor], Tensor]] = {}


@torch.library.register_fake("qbench::whole", lib=_LIBRARY)
def _shape_of_whole(x: Tensor, name: str) -> Tensor:
    return _SHAPES[name](x)


@contextmanager
def called_whole(network: nn.Module) -> Iterator[dict[str, nn.Module]]:
    """Let each module that is called whole be one operation, while the context lasts; yield them by name.

    Raises:
        RuntimeError: within itself, for modules have a name in one network at a time.
    """
    if _SHAPES:
        raise RuntimeError("operations are read while those of another network are: one capture within another")
    whole = {name: module for name, module in network.named_modules() if is_called_whole(module)}
    patched: list[tuple[nn.Module, Any]] = []
    try:
        for name, module in whole.items():
            _SHAPES[name] = _output_of(module)
            patched.append((module, vars(module).get("forward")))
            module.forward = _call_of(name)
        yield whole
    finally:
        for module, own in patched:
            if own is None:
                del module.forward
            else:
                module.forward = own
        _SHAPES.clear()


def _call_of(name: str) -> Callable[..., Tensor]:
    def forward(*args: Any, **options: Any) -> Tensor:
        given = [*args, *options.values()]
        if len(given) != 1:
            raise TypeError(f"{name}: a layer takes one tensor, got {len(given)} arguments")
        return torch.ops.qbench.whole(given[0], name)

    return forward


def _output_of(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """Return what gives an empty tensor of the shape that `module` makes of its input."""
    if isinstance(module, nn.Embedding):
        return lambda x: x.new_empty(*x.shape, module.embedding_dim, dtype=module.weight.dtype)
    if isinstance(module, nn.Linear):
        return lambda x: _linear(x, module)
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return lambda x: module._conv_forward(x, x.new_empty(module.weight.shape), None)
    return torch.empty_like


def _linear(x: Tensor, layer: nn.Linear) -> Tensor:
    if x.shape[-1] != layer.in_features:
        raise ValueError(f"expected {layer.in_features} inputs, got shape {list(x.shape)}")
    return x.new_empty(*x.shape[:-1], layer.out_features)


def name_of_whole(node: fx.Node) -> str | None:
    """Return the name of the module that a node of an export calls whole; None for any other node."""
    return str(node.args[1]) if node.target is torch.ops.qbench.whole.default else None
