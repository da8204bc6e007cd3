"""±1 activations times ±1 weights."""

from __future__ import annotations

from torch import Tensor

import cuda_ext
from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_op.base import Packed
from qbench.nn.quant_op.ungrouped import UngroupedOp
from quantizers import BINARY, Quantized


class XnorOp(UngroupedOp):
    """±1 weights and ±1 activations: `a·b = K - 2·popcount(a xor b)` (BinaryNet, arXiv 1602.02830)."""

    name = "xnor"
    weight_format = BINARY
    activation_kind = "binary"

    def pack(self, weight: Quantized) -> Packed:
        codes = weight.codes.float()
        last = codes if codes.dim() == 2 else codes.permute(0, 2, 3, 1)
        return Packed(cuda_ext.pack_signs(last), weight.scale, weight.codes.shape)

    def linear(self, x: Quantized, packed: Packed) -> Tensor:
        k = x.codes.shape[-1]
        bits = cuda_ext.pack_signs(x.codes.reshape(-1, k).float())
        result = cuda_ext.xnor_matmul(bits, packed.data, k).float()
        return self._scaled(result, x, packed).reshape(*x.codes.shape[:-1], packed.shape[0])

    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        self._check(window)
        bits = cuda_ext.pack_signs(x.codes.permute(0, 2, 3, 1).float())
        result = cuda_ext.xnor_conv2d(
            bits,
            packed.data,
            packed.shape[1],
            stride=window.stride,
            padding=window.padding,
            dilation=window.dilation,
            pad_value=window.pad_value,
        ).float()
        return self._scaled(result, x, packed).permute(0, 3, 1, 2).contiguous()

    @staticmethod
    def _scaled(result: Tensor, x: Quantized, packed: Packed) -> Tensor:
        return result * packed.scale.reshape(-1) * x.scale

    def cost(self, layer_shape: LayerShape) -> Operations:
        """⌈K/32⌉ XNOR-popcount words an output value."""
        return Operations(xnor_popcount_word=layer_shape.outputs * -(-layer_shape.dot_length // 32))
