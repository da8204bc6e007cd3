"""A network read as a chain of blocks: a layer and what follows it up to the next one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qbench.errors import UserError
from qbench.nn.activation import Activation
from qbench.nn.folding import NORMS, DirectedMaxPool2d, Norm, norm_factor
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_layer import QuantLayer
from qbench.nn.quant_linear import QuantLinear
from quantizers import Quantizer


class UnsupportedStructureError(UserError):
    """A network that is no chain of known modules; the message names the module and the reason."""


@dataclass
class Block:
    """A layer and the modules between it and the next one, in evaluation.

    The block computes `activation(norm(pool(layer(x))))`, or `activation(pool(norm(layer(x))))`; an activation never
    decreases, so pooling before it and after it are the same.

    Attributes:
        name, layer: the layer.
        norm: the BatchNorm, if there is one.
        pool: the max-pool, if there is one.
        pool_before_norm: it stands before the BatchNorm, or there is none.
        activation: "relu", "hardtanh" or "identity".
        flatten: the layer's input is flattened before it.
        following: the next layer's input quantizer; None after the last layer, or where it reads float32.
    """

    name: str
    layer: QuantLinear | QuantConv2d
    norm: Norm | None = None
    pool: nn.MaxPool2d | None = None
    pool_before_norm: bool = True
    activation: str = "identity"
    flatten: bool = False
    following: Quantizer | None = None
    _activated: bool = False

    @property
    def channels(self) -> int:
        """Output channels."""
        return int(self.layer.weight.shape[0])

    @property
    def factor(self) -> Tensor:
        """float64 [C]: with `shift`, what normalization does to the layer's output, `x·factor + shift`."""
        return self._factor_and_shift()[0]

    @property
    def shift(self) -> Tensor:
        """float64 [C]."""
        return self._factor_and_shift()[1]

    @property
    def direction(self) -> Tensor:
        """float64 [C] of the block's *result*: +1 where the pool takes its largest, -1 where its smallest values.

        Pooling commutes with the normalization after it but for the channels whose factor is negative.
        """
        direction = torch.ones_like(self.factor)
        if isinstance(self.pool, DirectedMaxPool2d):
            direction = self.pool.direction.reshape(-1).to(direction)
        if self.pool is not None and self.pool_before_norm:
            direction = torch.where(self.factor < 0, -direction, direction)
        return direction

    def _factor_and_shift(self) -> tuple[Tensor, Tensor]:
        if self.norm is not None:
            return norm_factor(self.norm)
        ones = torch.ones(self.channels, dtype=torch.float64, device=self.layer.weight.device)
        return ones, torch.zeros_like(ones)


def blocks(network: nn.Module, refusal: type[UserError] = UnsupportedStructureError) -> list[Block]:
    """The blocks of an nn.Sequential (nested ones are opened), whose modules run in the order they stand in.

    A block is a QuantLinear or QuantConv2d, then at most one max-pool, one BatchNorm with running statistics (plain or
    shift-based) and one activation (after the BatchNorm); nn.Flatten stands before linear layers; nn.Dropout and
    nn.Identity pass.

    Raises:
        refusal: anything else.
    """
    found: list[Block] = []
    flat = False
    for name, module in _opened(network, "", refusal):
        kind = type(module)
        if kind in (QuantLinear, QuantConv2d):
            assert isinstance(module, QuantLinear | QuantConv2d)
            if found:
                found[-1].following = module.input_quantizer
            if isinstance(module, QuantLinear) and found and isinstance(found[-1].layer, QuantConv2d) and not flat:
                raise refusal(f"{name}: a linear layer on an image needs an nn.Flatten before it")
            if isinstance(module, QuantConv2d) and flat:
                raise refusal(f"{name}: a convolution after nn.Flatten")
            found.append(Block(name, module, flatten=flat))
            flat = False
        elif isinstance(module, QuantLayer):
            raise refusal(f"{name}: {kind.__name__} may compute otherwise than QuantLinear and QuantConv2d")
        elif isinstance(module, nn.Flatten):
            if (module.start_dim, module.end_dim) != (1, -1):
                raise refusal(f"{name}: flattens other dimensions than all but the batch")
            flat = True
        elif kind not in (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity):  # which evaluation skips
            if not found:
                raise refusal(f"{name}: {kind.__name__} comes before the first layer")
            if flat and isinstance(found[-1].layer, QuantConv2d) and kind is not Activation:
                raise refusal(f"{name}: {kind.__name__} after nn.Flatten")
            reason = _added(found[-1], module)
            if reason:
                raise refusal(f"{name}: {reason}")
    if not found:
        raise refusal("the network has no layer to quantize")
    return found


def _opened(module: nn.Module, prefix: str, refusal: type[UserError]) -> Iterator[tuple[str, nn.Module]]:
    """The modules of nested nn.Sequentials in order."""
    if type(module) is not nn.Sequential:
        if not prefix:
            raise refusal(f"the network is {type(module).__name__}, not an nn.Sequential: its order is not known")
        yield prefix, module
        return
    for name, child in module.named_children():
        yield from _opened(child, f"{prefix}.{name}" if prefix else name, refusal)


def _added(block: Block, module: nn.Module) -> str | None:
    """Take `module` into the block before it; why not, if it does not fit."""
    kind = type(module)
    if kind in NORMS:
        assert isinstance(module, Norm)
        if block.norm is not None or block._activated:
            return "a BatchNorm after another or after an activation"
        if module.running_mean is None:
            return "has no running statistics: it depends on the batch"
        if module.num_features != block.channels:
            return f"normalizes {module.num_features} channels of {block.channels}"
        block.norm = module
    elif kind in (nn.MaxPool2d, DirectedMaxPool2d):
        assert isinstance(module, nn.MaxPool2d)
        if block.pool is not None:
            return "a second max-pool after one layer"
        if module.ceil_mode or module.return_indices or pair(module.dilation) != (1, 1):
            return "max-pool with ceil_mode, dilation or indices"
        block.pool = module
        block.pool_before_norm = block.norm is None
    elif kind in (Activation, nn.ReLU):
        if block._activated:
            return "a second activation after one layer"
        block.activation = module.function if isinstance(module, Activation) else "relu"
        block._activated = True
    else:
        return f"{kind.__name__} is not known here"
    return None


def pair(value: Any) -> tuple[int, int]:
    """(vertical, horizontal) of a module's argument."""
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)
