"""Real activations times ±1 weights."""

from __future__ import annotations

from torch import Tensor

import cuda_ext
from qbench.nn.layer_shape import LayerShape
from qbench.nn.operations import Operations
from qbench.nn.quant_op.packed import Packed
from qbench.nn.quant_op.sign_weight_op import SignWeightOp
from quantizers import Quantized


class BinaryWeightOp(SignWeightOp):
    """±1 weights and real activations: additions and subtractions only (BinaryConnect, NIPS 2015)."""

    name = "binary-weight"
    activation_kind = "float"

    def pack(self, weight: Quantized) -> Packed:
        """Return the signs as bits, a row of K for each output channel."""
        rows = weight.codes.flatten(1)
        return Packed(cuda_ext.pack_signs(rows.float()), weight.scale, weight.codes.shape)

    def sums(self, x: Quantized, packed: Packed) -> Tensor:
        """Return `Σ ±x` of `x [..., K]`, float32 [..., N], summed in the backend's order."""
        k = x.codes.shape[-1]
        sums = cuda_ext.binary_weight_matmul(x.codes.reshape(-1, k), packed.data, k)
        return sums.reshape(*x.codes.shape[:-1], packed.shape[0])

    def scaled(self, sums: Tensor, x: Quantized, packed: Packed) -> Tensor:
        """Return `scale_w · sums [..., N]`, float32."""
        return sums * packed.scale.reshape(-1)

    def input_values(self, x: Quantized) -> Tensor:
        """Return the inputs, float32."""
        return x.codes.float()

    def weight_values(self, packed: Packed) -> Tensor:
        """Return the signs, float32."""
        return cuda_ext.unpack_signs(packed.data, packed.shape[1:].numel()).view(packed.shape)

    def operations(self, layer_shape: LayerShape) -> Operations:
        """Count one addition (or subtraction) a MAC."""
        return Operations(fp32_add=layer_shape.macs)
