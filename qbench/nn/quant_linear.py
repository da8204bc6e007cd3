"""`nn.Linear` with quantizers."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from qbench.nn import binary_product
from qbench.nn.layer_shape import LayerShape
from qbench.nn.quant_layer import QuantLayer
from qbench.nn.quant_op.base import Packed, QuantOp
from quantizers import Quantized


class QuantLinear(QuantLayer, nn.Linear):
    """`nn.Linear` with a weight quantizer, an input quantizer and input dropout; see `QuantLayer`.

    x: float [..., in_features]. Result: float [..., out_features].
    """

    def __init__(self, *args: Any, dropout: float = 0.0, **options: Any) -> None:
        super().__init__(*args, **options)
        self._init_quantization(dropout)

    def _product(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.linear(x, weight, self.bias)

    def _sign_product(self, x: Tensor, weight: Tensor) -> Tensor:
        y = binary_product.linear(x, weight)
        return y if self.bias is None else y + self.bias

    def _packed_product(self, op: QuantOp, x: Quantized, packed: Packed) -> Tensor:
        y = op.linear(x, packed)
        return y if self.bias is None else y + self.bias

    def layer_shape(self, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> LayerShape:
        one, none = (1, 1), (0, 0)
        return LayerShape(
            "linear", self.in_features, self.out_features, one, one, none, one, 1, input_shape, output_shape
        )
