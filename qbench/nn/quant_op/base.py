"""The arithmetic of one layer in one pair of number formats: the contract of every QuantOp."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.operations import Operations
from quantizers import NumberFormat, Quantized


@dataclass(frozen=True)
class Packed:
    """A weight in the form its QuantOp computes with.

    Attributes:
        data: the codes: packed words, int8, or float32 values.
        scale: of the weight: one element or one per output channel, shape [] or [N].
        shape: of the weight as torch stores it, [N, K] or [N, C, kh, kw].
        zero_point: of int8 `data`, int32 [] or [N]; None for 0.
        row_sums: of the codes, int32: [N] of whole rows, or [N, kh, kw] of each tap's channels; None where no op needs
            them.
    """

    data: Tensor
    scale: Tensor
    shape: torch.Size
    zero_point: Tensor | None = None
    row_sums: Tensor | None = None


class QuantOp(ABC):
    """One layer's arithmetic for one pair of formats.

    `linear` and `conv2d` take a `Quantized` input and return real values, float32:
    scale_x · scale_w · (integer or real accumulator). A bias is the layer's business.
    """

    name: str
    packs: bool = True
    """False for the op that only replays float arithmetic: nothing then runs packed."""

    @abstractmethod
    def supports(self, weight: NumberFormat, activation: NumberFormat, layer_shape: LayerShape) -> tuple[bool, str]:
        """Whether the op serves these formats and this layer_shape, and why not."""

    @abstractmethod
    def pack(self, weight: Quantized) -> Packed:
        """The weight, [N, K] or [N, C, kh, kw], in the op's own form."""

    @abstractmethod
    def linear(self, x: Quantized, packed: Packed) -> Tensor:
        """`x [..., K] · weightᵀ` -> float32 [..., N]."""

    @abstractmethod
    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        """Cross-correlation of `x [B, C, H, W]` -> float32 [B, N, Ho, Wo]."""

    @abstractmethod
    def cost(self, layer_shape: LayerShape) -> Operations:
        """Operations of one inference of one example."""
