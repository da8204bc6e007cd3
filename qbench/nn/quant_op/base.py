"""The contract of every QuantOp: the arithmetic of one layer in one pair of number formats."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_op.epilogue import Epilogue
from qbench.nn.quant_op.op_cost import OpCost
from qbench.nn.quant_op.packed import Packed
from quantizers import NumberFormat, Quantized


class QuantOp(ABC):
    """The arithmetic of one layer for one pair of number formats.

    - Choice: `supports` says which formats and shapes the op serves, and why not the others.
    - Execution: `pack` brings a weight into the op's form once; `linear` and `conv2d` multiply a `Quantized` input by
      it, `embedding` looks its rows up. They give real values, `scale_x · scale_w · accumulator` in float32; the bias
      is the layer's business. An integer accumulator is exact, so that it is the same on every backend. An op has the
      methods for the kinds of layer that it supports.
    - Cost: `cost` counts one inference: `operations` for the products, `epilogue_cost` for what follows them.

    Attributes:
        name: as it stands in tables and results.
        packs: False for the op that only replays float arithmetic: nothing then runs packed.
    """

    name: str
    packs: bool = True

    @abstractmethod
    def supports(self, weight: NumberFormat, activation: NumberFormat, layer_shape: LayerShape) -> tuple[bool, str]:
        """Return whether the op serves these formats and this layer shape, and if not, why."""

    @abstractmethod
    def pack(self, weight: Quantized) -> Packed:
        """Return the weight, [N, K] or [N, C, kh, kw], in the op's own form."""

    def linear(self, x: Quantized, packed: Packed) -> Tensor:
        """Return `x [..., K] · weightᵀ`, float32 [..., N].

        Raises:
            TypeError: an op that serves no linear layer.
        """
        raise self._unserved("linear")

    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        """Return the cross-correlation of `x [B, C, H, W]` with the weight, float32 [B, N, Ho, Wo].

        Raises:
            TypeError: an op that serves no convolution.
        """
        raise self._unserved("conv2d")

    def embedding(self, indices: Tensor, packed: Packed) -> Tensor:
        """Return the rows of the table [N, K] at `indices [...]` (int64 or int32), float32 [..., K].

        Raises:
            TypeError: an op that serves no table.
        """
        raise self._unserved("embedding")

    def _unserved(self, kind: str) -> TypeError:
        return TypeError(f"{self.name}: serves no {kind} layer; `supports` says so")

    @abstractmethod
    def operations(self, layer_shape: LayerShape) -> Operations:
        """Count the operations of the products and their sums, for one inference of one example."""

    @abstractmethod
    def weight_scale_cost(self, layer_shape: LayerShape, epilogue: Epilogue) -> OpCost:
        """Count the multiplication of the sums by the weights' scale, and the scale's bytes."""

    def epilogue_cost(self, layer_shape: LayerShape, epilogue: Epilogue) -> OpCost:
        """Count what follows the sums: here in float32, the weights' scale, the bias, and every BatchNorm."""
        return (
            self.weight_scale_cost(layer_shape, epilogue)
            + epilogue.bias_cost(layer_shape)
            + epilogue.norms_cost(layer_shape, epilogue.norms)
        )

    def cost(self, layer_shape: LayerShape, epilogue: Epilogue) -> OpCost:
        """Count one inference of one example: the products and their epilogue."""
        products = OpCost(self.operations(layer_shape), scale_bytes=epilogue.input_scale_bytes)
        return products + self.epilogue_cost(layer_shape, epilogue)
