"""±1 activations times ±1 weights."""

from __future__ import annotations

from torch import Tensor

import cuda_ext
from qbench.nn.layer_shape import ConvWindow, LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_op.packed import Packed
from qbench.nn.quant_op.sign_weight_op import SignWeightOp
from quantizers import Quantized


class XnorOp(SignWeightOp):
    """±1 weights and ±1 activations: `a·b = K - 2·popcount(a xor b)` (BinaryNet, arXiv 1602.02830)."""

    name = "xnor"
    activation_kind = "binary"

    def pack(self, weight: Quantized) -> Packed:
        """Return the signs as bits; a convolution's with the channels last."""
        return Packed(pack_weight(weight.codes.float()), weight.scale, weight.codes.shape)

    def sums(self, x: Quantized, packed: Packed) -> Tensor:
        """Return the product of the signs of `x [..., K]` and of the weight, int32 [..., N], exact."""
        return linear_sums(x.codes.float(), packed.data)

    def scaled(self, sums: Tensor, x: Quantized, packed: Packed) -> Tensor:
        """Return `scale_x · scale_w · sums [..., N]`, float32."""
        return sums.float() * packed.scale.reshape(-1) * x.scale

    def input_values(self, x: Quantized) -> Tensor:
        """Return the signs, int32."""
        return x.codes.int()

    def weight_values(self, packed: Packed) -> Tensor:
        """Return the signs of a filter, int32 [N, C, kh, kw]."""
        return cuda_ext.unpack_signs(packed.data, packed.shape[1]).permute(0, 3, 1, 2).int()

    def _one_group(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        return conv2d_sums(x.codes.float(), packed.data, window)

    def operations(self, layer_shape: LayerShape) -> Operations:
        """Count ⌈K/32⌉ XNOR-popcount words an output value."""
        return Operations(xnor_popcount_word=layer_shape.outputs * -(-layer_shape.dot_length // 32))


def pack_weight(weight: Tensor) -> Tensor:
    """Return the signs of a weight as packed words: of [N, K], or of [N, C, kh, kw] with the channels last."""
    return cuda_ext.pack_signs(weight if weight.dim() == 2 else weight.permute(0, 2, 3, 1))


def linear_sums(x: Tensor, words: Tensor) -> Tensor:
    """Return the product of the signs of `x [..., K]` and of a weight [N, K], exact; int32 [..., N].

    words: the weight as `pack_weight` gives it.
    """
    k = x.shape[-1]
    sums = cuda_ext.xnor_matmul(cuda_ext.pack_signs(x.reshape(-1, k)), words, k)
    return sums.reshape(*x.shape[:-1], words.shape[0])


def conv2d_sums(x: Tensor, words: Tensor, window: ConvWindow) -> Tensor:
    """Return the cross-correlation of the signs of `x [B, C, H, W]` and of a weight [N, C, kh, kw], exact.

    words: the weight as `pack_weight` gives it; window: one group.
    Result: int32 [B, Ho, Wo, N], channels last.
    """
    equal = window.widened  # the kernel pads alike on both sides
    sums = cuda_ext.xnor_conv2d(
        cuda_ext.pack_signs(x.permute(0, 2, 3, 1)),
        words,
        x.shape[1],
        stride=equal.stride,
        padding=equal.padding,
        dilation=equal.dilation,
        pad_value=equal.pad_value,
    )
    return sums[:, window.extra[0] :, window.extra[1] :]
