"""`nn.Linear` with quantizers."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from qbench.nn import binary_product
from qbench.nn.layer_shape import LayerShape
from qbench.nn.quant_layer import QuantLayer
from qbench.nn.quant_op.base import QuantOp
from qbench.nn.quant_op.packed import Packed
from quantizers import Quantized


class QuantLinear(QuantLayer, nn.Linear):
    """`nn.Linear` with a weight quantizer, an input quantizer and input dropout; see `QuantLayer`.

    x: float [..., in_features]. Result: float [..., out_features].
    """

    kind = "linear"

    def __init__(self, *args: Any, dropout: float = 0.0, **options: Any) -> None:
        super().__init__(*args, **options)
        self._init_quantization(dropout)

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(x, weight, bias)

    def _sign_product(self, x: Tensor, weight: Tensor) -> Tensor:
        return binary_product.linear(x, weight)

    def _packed_product(self, op: QuantOp, x: Quantized, packed: Packed) -> Tensor:
        return op.linear(x, packed)

    def layer_shape(self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> LayerShape:
        """Return the layer's shape for one example of these shapes, without the batch."""
        return LayerShape.without_window("linear", self.in_features, self.out_features, input_shape, output_shape)
