"""Pure-torch implementations of every operation: the meaning of the schemas, on any device that torch has.

They run where no compiled kernel serves, and the compiled kernels are tested against independent int64 arithmetic, as
these are. Arguments are taken as checked (`ops` does that).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cuda_ext.layout import packed_words
from cuda_ext.philox import random_words

# float32 holds every integer up to here
_EXACT = 1 << 24


def _pack_bits(bits: Tensor) -> Tensor:
    """bool [..., K] -> int32 [..., W(K)]"""
    k = bits.shape[-1]
    padded = F.pad(bits.to(torch.uint8), (0, 32 * packed_words(k) - k))
    weights = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8, device=bits.device)
    by_byte = padded.unflatten(-1, (4 * packed_words(k), 8)) * weights
    return by_byte.sum(-1, dtype=torch.uint8).view(torch.int32)


def pack_signs(x: Tensor) -> Tensor:
    return _pack_bits(x >= 0)


def pack_signs_stochastic(x: Tensor, seed: Tensor) -> Tensor:
    # u has 24 bits, so that u and p·2^24 are both exact in float32 and the comparison is the same everywhere
    p = ((x.to(torch.float32) + 1.0) * 0.5).clamp(0.0, 1.0)
    u = (random_words(seed, x.numel()) >> 8).to(torch.float32).reshape(x.shape)
    return _pack_bits(u < p * float(_EXACT))


def unpack_signs(bits: Tensor, k: int) -> Tensor:
    shifts = torch.arange(8, dtype=torch.uint8, device=bits.device)
    unpacked = (bits.contiguous().view(torch.uint8).unsqueeze(-1) >> shifts) & 1
    return unpacked.flatten(-2)[..., :k].to(torch.float32) * 2 - 1


def _exact_matmul(a: Tensor, b: Tensor, largest: int) -> Tensor:
    """a [..., K] · b [N, K] -> int32 [..., N], for float32 integers whose products are at most `largest`.

    K is cut so that no partial sum leaves float32's exact integers: the fastest exact product that torch has.
    """
    step = _EXACT // largest
    out = torch.zeros(*a.shape[:-1], b.shape[0], dtype=torch.int32, device=a.device)
    for start in range(0, a.shape[-1], step):
        out += (a[..., start : start + step] @ b[:, start : start + step].T).to(torch.int32)
    return out


def xnor_matmul(a_bits: Tensor, b_bits: Tensor, k: int) -> Tensor:
    return _exact_matmul(unpack_signs(a_bits, k), unpack_signs(b_bits, k), 1)


def scale_shift(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """float16(float32(x)·scale + shift), each step rounded to nearest; channels last."""
    return (x.to(torch.float32) * scale + shift).to(torch.float16)


def xnor_matmul_scale(a_bits: Tensor, b_bits: Tensor, k: int, scale: Tensor, shift: Tensor) -> Tensor:
    # the raw operation, so that a backend without this one still multiplies with its own kernel
    return scale_shift(torch.ops.cuda_ext.xnor_matmul(a_bits, b_bits, k), scale, shift)


def xnor_matmul_sign(a_bits: Tensor, b_bits: Tensor, k: int, threshold: Tensor, direction: Tensor) -> Tensor:
    return sign_threshold_pack(xnor_matmul(a_bits, b_bits, k), threshold, direction)


def conv_output_size(
    size: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> tuple[int, int]:
    """`⌊(H + 2p - d·(k-1) - 1)/s⌋ + 1` in both directions."""
    high = (size[0] + 2 * padding[0] - dilation[0] * (kernel[0] - 1) - 1) // stride[0] + 1
    wide = (size[1] + 2 * padding[1] - dilation[1] * (kernel[1] - 1) - 1) // stride[1] + 1
    return high, wide


def xnor_conv2d(
    x_bits: Tensor,
    w_bits: Tensor,
    channels: int,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    pad_value: int,
) -> Tensor:
    batch, height, width, _ = x_bits.shape
    outputs, kernel_h, kernel_w, _ = w_bits.shape
    out_h, out_w = conv_output_size((height, width), (kernel_h, kernel_w), stride, padding, dilation)
    x = unpack_signs(x_bits, channels)
    w = unpack_signs(w_bits, channels)
    x = F.pad(x, (0, 0, padding[1], padding[1], padding[0], padding[0]), value=float(pad_value))
    out = torch.zeros(batch, out_h, out_w, outputs, dtype=torch.int32, device=x_bits.device)
    for i in range(kernel_h):
        for j in range(kernel_w):
            top, left = i * dilation[0], j * dilation[1]
            tap = x[
                :,
                top : top + (out_h - 1) * stride[0] + 1 : stride[0],
                left : left + (out_w - 1) * stride[1] + 1 : stride[1],
            ]
            out += _exact_matmul(tap, w[:, i, j], 1)
    return out


def xnor_conv2d_scale(
    x_bits: Tensor,
    w_bits: Tensor,
    channels: int,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    pad_value: int,
    scale: Tensor,
    shift: Tensor,
) -> Tensor:
    out = torch.ops.cuda_ext.xnor_conv2d(x_bits, w_bits, channels, stride, padding, dilation, pad_value)
    return scale_shift(out, scale, shift)


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
    out = xnor_conv2d(x_bits, w_bits, channels, stride, padding, dilation, pad_value)
    return sign_threshold_pack(out, threshold, direction)


def binary_weight_matmul(x: Tensor, w_bits: Tensor, k: int) -> Tensor:
    return x.to(torch.float32) @ unpack_signs(w_bits, k).T


def bitplane_matmul(x: Tensor, w_bits: Tensor, k: int) -> Tensor:
    return _exact_matmul(x.to(torch.float32), unpack_signs(w_bits, k), 255)


def int8_matmul(a: Tensor, b: Tensor) -> Tensor:
    return _exact_matmul(a.to(torch.float32), b.to(torch.float32), 128 * 128)


def sign_threshold_pack(x: Tensor, threshold: Tensor, direction: Tensor) -> Tensor:
    rising, falling = x >= threshold, x <= threshold
    return _pack_bits(torch.where(direction > 0, rising, torch.where(direction < 0, falling, threshold >= 0)))
