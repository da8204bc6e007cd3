"""What the layers of a quantized network took and gave, call by call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qbench.conformance.plain import LAYERS


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        name: of the layer.
        given: what its forward took, before its input quantizer.
        result: what its forward gave, before hooks.
    """

    name: str
    given: Tensor
    result: Tensor


@torch.no_grad()
def record(network: nn.Module, x: Tensor) -> tuple[list[Call], Tensor]:
    """Return each call of a layer, quantized or not, in the order they run, and the network's result of `x`."""
    calls: list[Call] = []

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: tuple[Any, ...], result: Tensor) -> None:
            calls.append(Call(name, given[0].clone(), result.clone()))

        return hook

    with ExitStack() as stack:
        for name, module in network.named_modules():
            if isinstance(module, LAYERS):
                stack.callback(module.register_forward_hook(keep(name), prepend=True).remove)
        result = network(x)
    return calls, result
