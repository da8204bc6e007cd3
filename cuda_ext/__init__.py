"""Computation with bits: raw operations on packed tensors, for CPU and CUDA."""

from cuda_ext import register as _register  # noqa: F401  (defines the operations)
from cuda_ext import runtime as _runtime
from cuda_ext.layout import from_bytes, packed_words, to_bytes
from cuda_ext.ops import (
    binary_weight_matmul,
    bitplane_matmul,
    int8_matmul,
    pack_signs,
    pack_signs_stochastic,
    prepack,
    prepack_int8,
    sign_threshold_pack,
    unpack_signs,
    xnor_conv2d,
    xnor_conv2d_scale,
    xnor_conv2d_sign,
    xnor_matmul,
    xnor_matmul_scale,
    xnor_matmul_sign,
)
from cuda_ext.prepacked import Prepacked
from cuda_ext.runtime import Backend, available_isas, backends, use_isa
from cuda_ext.threshold import fold_batch_norm, integer_threshold
from cuda_ext.window import conv_output_size, taps

__all__ = [
    "Backend",
    "Prepacked",
    "available_isas",
    "backends",
    "binary_weight_matmul",
    "bitplane_matmul",
    "conv_output_size",
    "fold_batch_norm",
    "from_bytes",
    "int8_matmul",
    "integer_threshold",
    "pack_signs",
    "pack_signs_stochastic",
    "packed_words",
    "prepack",
    "prepack_int8",
    "sign_threshold_pack",
    "taps",
    "to_bytes",
    "unpack_signs",
    "use_isa",
    "xnor_conv2d",
    "xnor_conv2d_scale",
    "xnor_conv2d_sign",
    "xnor_matmul",
    "xnor_matmul_scale",
    "xnor_matmul_sign",
]

_runtime.load()
