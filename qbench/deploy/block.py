"""A layer and what follows it up to the next layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from qbench.nn.activation import Activation
from qbench.nn.folding import DirectedMaxPool2d
from qbench.nn.norm import NORMS, Norm, norm_factor
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_linear import QuantLinear


@dataclass(frozen=True)
class PoolWindow:
    """How a max-pool moves over an image: (vertical, horizontal) each."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]


@dataclass
class Block:
    """A layer and the modules between it and the next one, in evaluation.

    The block computes `activation(norm(pool(layer(x))))`, or `activation(pool(norm(layer(x))))`. An activation never
    decreases, so that pooling before it and after it are the same.

    Attributes:
        name: of the layer.
        layer: the layer, with its quantizers.
        flatten: the layer's input is flattened before it.
        norm: the BatchNorm, if there is one.
        pool: the max-pool, if there is one.
        pool_before_norm: the pool stands before the BatchNorm, or there is none.
        activation: "relu", "hardtanh" or "identity".
    """

    name: str
    layer: QuantLinear | QuantConv2d
    flatten: bool = False
    norm: Norm | None = None
    pool: nn.MaxPool2d | None = None
    pool_before_norm: bool = True
    activation: str = "identity"
    _activated: bool = False

    @property
    def channels(self) -> int:
        """Output channels."""
        return int(self.layer.weight.shape[0])

    @property
    def kernel_size(self) -> tuple[int, int]:
        """(vertical, horizontal) size of a convolution's filters."""
        return _pair(self.layer.kernel_size)

    @property
    def pool_window(self) -> PoolWindow | None:
        """The max-pool's window, if there is a max-pool."""
        if self.pool is None:
            return None
        return PoolWindow(_pair(self.pool.kernel_size), _pair(self.pool.stride), _pair(self.pool.padding))

    @property
    def factor(self) -> Tensor:
        """The f of `x·f + s`, which is what normalization makes of the layer's output; float64 [C]."""
        return self._factor_and_shift()[0]

    @property
    def shift(self) -> Tensor:
        """The s of `x·f + s`; float64 [C]."""
        return self._factor_and_shift()[1]

    @property
    def direction(self) -> Tensor:
        """What the pool takes of each channel of the block's *result*: +1 the largest, -1 the smallest; float64 [C].

        A pool before the BatchNorm takes the largest sums, which are the smallest results where the factor is negative.
        """
        direction = torch.ones_like(self.factor)
        if isinstance(self.pool, DirectedMaxPool2d):
            direction = self.pool.direction.reshape(-1).to(direction)
        if self.pool is not None and self.pool_before_norm:
            direction = torch.where(self.factor < 0, -direction, direction)
        return direction

    def add(self, module: nn.Module) -> str | None:
        """Take in a module that runs after those the block has; else return why it does not fit."""
        kind = type(module)
        if kind in NORMS:
            assert isinstance(module, Norm)
            return self._add_norm(module)
        if kind in (nn.MaxPool2d, DirectedMaxPool2d):
            assert isinstance(module, nn.MaxPool2d)
            return self._add_pool(module)
        if kind in (Activation, nn.ReLU):
            if self._activated:
                return "a second activation after one layer"
            self.activation = module.function if isinstance(module, Activation) else "relu"
            self._activated = True
            return None
        return f"{kind.__name__} is not known here"

    def _add_norm(self, norm: Norm) -> str | None:
        if self.norm is not None or self._activated:
            return "a BatchNorm after another or after an activation"
        if norm.running_mean is None:
            return "has no running statistics: it depends on the batch"
        if norm.num_features != self.channels:
            return f"normalizes {norm.num_features} channels of {self.channels}"
        self.norm = norm
        return None

    def _add_pool(self, pool: nn.MaxPool2d) -> str | None:
        if self.pool is not None:
            return "a second max-pool after one layer"
        if pool.ceil_mode or pool.return_indices or _pair(pool.dilation) != (1, 1):
            return "max-pool with ceil_mode, dilation or indices"
        self.pool = pool
        self.pool_before_norm = self.norm is None
        return None

    def _factor_and_shift(self) -> tuple[Tensor, Tensor]:
        if self.norm is not None:
            return norm_factor(self.norm)
        ones = torch.ones(self.channels, dtype=torch.float64, device=self.layer.weight.device)
        return ones, torch.zeros_like(ones)


def _pair(value: Any) -> tuple[int, int]:
    """Return (vertical, horizontal) of a module's argument, which is one number or two."""
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)
