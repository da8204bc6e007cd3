"""A network read as a chain of blocks: a layer and what follows it up to the next one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qbench.errors import UserError
from qbench.folding import DirectedMaxPool2d, norm_factor
from qbench.layers import Activation, QuantConv2d, QuantLayer, QuantLinear
from quantizers import Quantizer


class UnsupportedStructureError(UserError):
    """A network that is no chain of known modules; the message names the module and the reason."""


@dataclass
class Block:
    """A layer and the modules between it and the next one, in evaluation.

    The block computes `activation(pool(layer(x))·factor + shift)`; pooling commutes with what follows it but for the
    channels whose factor is negative, which `direction` says.

    Attributes:
        name, layer: the layer.
        pool: the max-pool, if there is one; its window alone counts.
        direction: float [C] of the block's *result* (after normalization): +1 where the pool takes its largest, -1
            where it takes its smallest values.
        factor, shift: float64 [C]: what normalization does to the layer's output.
        activation: "relu", "hardtanh" or "identity".
        flatten: the layer's input is flattened before it.
        following: the next layer's input quantizer; None after the last layer, or where it reads float32.
    """

    name: str
    layer: QuantLinear | QuantConv2d
    factor: Tensor
    shift: Tensor
    direction: Tensor
    pool: nn.MaxPool2d | None = None
    activation: str = "identity"
    flatten: bool = False
    following: Quantizer | None = None
    _normalized: bool = False
    _activated: bool = False

    @property
    def channels(self) -> int:
        """Output channels."""
        return int(self.layer.weight.shape[0])


@torch.no_grad()
def blocks(network: nn.Module) -> list[Block]:
    """The blocks of an nn.Sequential (nested ones are opened), whose modules run in the order they stand in.

    A block is a QuantLinear or QuantConv2d, then at most one max-pool, one BatchNorm and one activation (the BatchNorm
    before the activation); nn.Flatten stands before linear layers; nn.Dropout and nn.Identity pass.

    Raises:
        UnsupportedStructureError: anything else.
    """
    found: list[Block] = []
    flat = False
    for name, module in _opened(network, ""):
        if isinstance(module, QuantLinear | QuantConv2d):
            if found:
                found[-1].following = module.input_quantizer
            if isinstance(module, QuantLinear) and found and isinstance(found[-1].layer, QuantConv2d) and not flat:
                raise UnsupportedStructureError(f"{name}: a linear layer on an image needs an nn.Flatten before it")
            if isinstance(module, QuantConv2d) and flat:
                raise UnsupportedStructureError(f"{name}: a convolution after nn.Flatten")
            ones = torch.ones(module.weight.shape[0], dtype=torch.float64, device=module.weight.device)
            found.append(Block(name, module, ones, torch.zeros_like(ones), ones.clone(), flatten=flat))
            flat = False
        elif type(module) is nn.Flatten:
            if (module.start_dim, module.end_dim) != (1, -1):
                raise UnsupportedStructureError(f"{name}: flattens other dimensions than all but the batch")
            flat = True
        elif type(module) not in (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity):  # which evaluation skips
            if not found:
                raise UnsupportedStructureError(f"{name}: {type(module).__name__} comes before the first layer")
            if flat and isinstance(found[-1].layer, QuantConv2d) and type(module) is not Activation:
                raise UnsupportedStructureError(f"{name}: {type(module).__name__} after nn.Flatten")
            _add(found[-1], name, module)
    if not found:
        raise UnsupportedStructureError("the network has no layer to quantize")
    return found


def _opened(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    if type(module) is not nn.Sequential:
        if not prefix:
            raise UnsupportedStructureError(
                f"the network is {type(module).__name__}, not an nn.Sequential: its order is not known"
            )
        yield prefix, module
        return
    for name, child in module.named_children():
        yield from _opened(child, f"{prefix}.{name}" if prefix else name)


def _add(block: Block, name: str, module: nn.Module) -> None:
    kind = type(module)
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and kind in (nn.BatchNorm1d, nn.BatchNorm2d):
        if block._normalized or block._activated:
            raise UnsupportedStructureError(f"{name}: a BatchNorm after another or after an activation")
        if module.running_mean is None:
            raise UnsupportedStructureError(f"{name}: has no running statistics: it depends on the batch")
        block.factor, block.shift = norm_factor(module)
        if block.pool is not None:  # its order is that of the sums
            block.direction = torch.where(block.factor < 0, -block.direction, block.direction)
        block._normalized = True
    elif isinstance(module, nn.MaxPool2d) and kind in (nn.MaxPool2d, DirectedMaxPool2d):
        if block.pool is not None:
            raise UnsupportedStructureError(f"{name}: a second max-pool after one layer")
        if module.ceil_mode or module.return_indices or pair(module.dilation) != (1, 1):
            raise UnsupportedStructureError(f"{name}: max-pool with ceil_mode, dilation or indices")
        block.pool = module
        if isinstance(module, DirectedMaxPool2d):
            block.direction = module.direction.reshape(-1).double()
    elif kind in (Activation, nn.ReLU):
        if block._activated:
            raise UnsupportedStructureError(f"{name}: a second activation after one layer")
        block.activation = module.function if isinstance(module, Activation) else "relu"
        block._activated = True
    elif isinstance(module, QuantLayer):
        raise UnsupportedStructureError(f"{name}: {kind.__name__} may compute otherwise than its base class")
    else:
        raise UnsupportedStructureError(f"{name}: {kind.__name__} is not known here")


def pair(value: Any) -> tuple[int, int]:
    """(vertical, horizontal) of a module's argument."""
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)
