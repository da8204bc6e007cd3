"""A layer and what follows it up to the next layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from qbench.nn.norm import Norm, norm_factor
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
    """A layer and the operations between it and the next one, in evaluation.

    The block computes `activation(norm(pool(layer(x))))`, or `activation(pool(norm(layer(x))))`. An activation never
    decreases, so that pooling before it and after it are the same.

    Attributes:
        name: of the layer.
        layer: the layer, with its quantizers.
        flatten: the layer's input is flattened before it.
        norm: the BatchNorm, if there is one; one that is called after several layers is in each one's block.
        pool: the max-pool's window, if there is a max-pool.
        pool_direction: of a pool that takes the smallest values of some channels (`DirectedMaxPool2d`): +1 or -1 for
            each channel; None for a plain one.
        pool_before_norm: the pool runs before the BatchNorm, or there is none.
        activation: "relu", "hardtanh" or "identity".
    """

    name: str
    layer: QuantLinear | QuantConv2d
    flatten: bool = False
    norm: Norm | None = None
    pool: PoolWindow | None = None
    pool_direction: Tensor | None = None
    pool_before_norm: bool = True
    activation: str = "identity"

    @property
    def channels(self) -> int:
        """Output channels."""
        return int(self.layer.weight.shape[0])

    @property
    def kernel_size(self) -> tuple[int, int]:
        """(vertical, horizontal) size of a convolution's filters."""
        vertical, horizontal = self.layer.weight.shape[2:]
        return vertical, horizontal

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
        if self.pool_direction is not None:
            direction = self.pool_direction.reshape(-1).to(direction)
        if self.pool is not None and self.pool_before_norm:
            direction = torch.where(self.factor < 0, -direction, direction)
        return direction

    def _factor_and_shift(self) -> tuple[Tensor, Tensor]:
        if self.norm is not None:
            return norm_factor(self.norm)
        ones = torch.ones(self.channels, dtype=torch.float64, device=self.layer.weight.device)
        return ones, torch.zeros_like(ones)
