"""Shapes and dtypes of the results without the values, for torch.compile and export."""

from collections.abc import Sequence

import torch
from torch import Tensor

from cuda_ext.layout import packed_words
from cuda_ext.reference import conv_output_size


def pack_signs(x: Tensor) -> Tensor:
    return x.new_empty((*x.shape[:-1], packed_words(x.shape[-1])), dtype=torch.int32)


def pack_signs_stochastic(x: Tensor, seed: Tensor) -> Tensor:
    return pack_signs(x)


def unpack_signs(bits: Tensor, k: int) -> Tensor:
    return bits.new_empty((*bits.shape[:-1], k), dtype=torch.float32)


def xnor_matmul(a_bits: Tensor, b_bits: Tensor, k: int) -> Tensor:
    return a_bits.new_empty((a_bits.shape[0], b_bits.shape[0]), dtype=torch.int32)


def xnor_matmul_sign(a_bits: Tensor, b_bits: Tensor, k: int, threshold: Tensor, direction: Tensor) -> Tensor:
    return a_bits.new_empty((a_bits.shape[0], packed_words(b_bits.shape[0])), dtype=torch.int32)


def xnor_conv2d(
    x_bits: Tensor,
    w_bits: Tensor,
    channels: int,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    pad_value: int,
) -> Tensor:
    size = conv_output_size(x_bits.shape[1:3], w_bits.shape[1:3], stride, padding, dilation)
    return x_bits.new_empty((x_bits.shape[0], *size, w_bits.shape[0]), dtype=torch.int32)


def xnor_conv2d_sign(
    x_bits: Tensor,
    w_bits: Tensor,
    channels: int,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    pad_value: int,
    threshold: Tensor,
    direction: Tensor,
) -> Tensor:
    size = conv_output_size(x_bits.shape[1:3], w_bits.shape[1:3], stride, padding, dilation)
    return x_bits.new_empty((x_bits.shape[0], *size, packed_words(w_bits.shape[0])), dtype=torch.int32)


def binary_weight_matmul(x: Tensor, w_bits: Tensor, k: int) -> Tensor:
    return x.new_empty((x.shape[0], w_bits.shape[0]), dtype=torch.float32)


def bitplane_matmul(x: Tensor, w_bits: Tensor, k: int) -> Tensor:
    return x.new_empty((x.shape[0], w_bits.shape[0]), dtype=torch.int32)


def int8_matmul(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty((a.shape[0], b.shape[0]), dtype=torch.int32)


def sign_threshold_pack(x: Tensor, threshold: Tensor, direction: Tensor) -> Tensor:
    return pack_signs(x)


def xnor_matmul_prepacked(a_bits: Tensor, b: Tensor, n: int, k: int) -> Tensor:
    return a_bits.new_empty((a_bits.shape[0], n), dtype=torch.int32)


def xnor_matmul_sign_prepacked(
    a_bits: Tensor, b: Tensor, n: int, k: int, threshold: Tensor, direction: Tensor
) -> Tensor:
    return a_bits.new_empty((a_bits.shape[0], packed_words(n)), dtype=torch.int32)


def xnor_conv2d_prepacked(
    x_bits: Tensor,
    w: Tensor,
    filter: Sequence[int],
    channels: int,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    pad_value: int,
) -> Tensor:
    size = conv_output_size(x_bits.shape[1:3], filter[1:], stride, padding, dilation)
    return x_bits.new_empty((x_bits.shape[0], *size, filter[0]), dtype=torch.int32)


def xnor_conv2d_sign_prepacked(
    x_bits: Tensor,
    w: Tensor,
    filter: Sequence[int],
    channels: int,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    pad_value: int,
    threshold: Tensor,
    direction: Tensor,
) -> Tensor:
    size = conv_output_size(x_bits.shape[1:3], filter[1:], stride, padding, dilation)
    return x_bits.new_empty((x_bits.shape[0], *size, packed_words(filter[0])), dtype=torch.int32)


def binary_weight_matmul_prepacked(x: Tensor, w: Tensor, n: int, k: int) -> Tensor:
    return x.new_empty((x.shape[0], n), dtype=torch.float32)


def bitplane_matmul_prepacked(x: Tensor, w: Tensor, n: int, k: int) -> Tensor:
    return x.new_empty((x.shape[0], n), dtype=torch.int32)


def int8_matmul_prepacked(a: Tensor, b: Tensor, n: int) -> Tensor:
    return a.new_empty((a.shape[0], n), dtype=torch.int32)
