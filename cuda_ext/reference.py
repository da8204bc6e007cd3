"""Pure-torch implementations of every operation: the meaning of the schemas, on any device that torch has.

They run where no compiled kernel serves, and the compiled kernels are tested against independent int64 arithmetic, as
these are. Arguments are taken as checked (`ops` does that, and documents them).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cuda_ext.layout import packed_words
from cuda_ext.philox import random_words
from cuda_ext.window import conv_output_size, taps

# Every integer up to here is a float32.
_EXACT = 1 << 24


def _pack_bits(bits: Tensor) -> Tensor:
    """Pack booleans: bool [..., K] -> int32 [..., 16·⌈K/512⌉]."""
    k = bits.shape[-1]
    padded = F.pad(bits.to(torch.uint8), (0, 32 * packed_words(k) - k))
    weights = torch.tensor([1, 2, 4, 8, 16, 32, 64, 128], dtype=torch.uint8, device=bits.device)
    by_byte = padded.unflatten(-1, (4 * packed_words(k), 8)) * weights
    return by_byte.sum(-1, dtype=torch.uint8).view(torch.int32)


def pack_signs(x: Tensor) -> Tensor:
    """Pack signs: float [..., K] -> int32 [..., 16·⌈K/512⌉], bit i is `x_i >= 0`."""
    return _pack_bits(x >= 0)


def pack_signs_stochastic(x: Tensor, seed: Tensor) -> Tensor:
    """Pack random signs: float [..., K], int64 [2] -> int32 [..., 16·⌈K/512⌉], bit i is `⌊u_i/2^8⌋ < 2^24·σ(x_i)`."""
    # u has 24 bits, so that u and p·2^24 are both exact in float32 and the comparison is the same everywhere
    p = ((x.to(torch.float32) + 1.0) * 0.5).clamp(0.0, 1.0)
    u = (random_words(seed, x.numel()) >> 8).to(torch.float32).reshape(x.shape)
    return _pack_bits(u < p * float(_EXACT))


def unpack_signs(bits: Tensor, k: int) -> Tensor:
    """Unpack signs: int32 [..., 16·⌈k/512⌉] -> float32 [..., k] of -1 and +1."""
    shifts = torch.arange(8, dtype=torch.uint8, device=bits.device)
    unpacked = (bits.contiguous().view(torch.uint8).unsqueeze(-1) >> shifts) & 1
    return unpacked.flatten(-2)[..., :k].to(torch.float32) * 2 - 1


def _exact_matmul(a: Tensor, b: Tensor, largest: int) -> Tensor:
    """Multiply a [..., K] · b [N, K] -> int32 [..., N], for float32 integers whose products are at most `largest`.

    K is cut so that no partial sum leaves float32's exact integers: the fastest exact product that torch has.
    """
    step = _EXACT // largest
    out = torch.zeros(*a.shape[:-1], b.shape[0], dtype=torch.int32, device=a.device)
    for start in range(0, a.shape[-1], step):
        out += (a[..., start : start + step] @ b[:, start : start + step].T).to(torch.int32)
    return out


def xnor_matmul(a_bits: Tensor, b_bits: Tensor, k: int) -> Tensor:
    """Multiply ±1 matrices: `out[m, n] = Σ_i a[m, i]·b[n, i]`, int32 [M, N]."""
    return _exact_matmul(unpack_signs(a_bits, k), unpack_signs(b_bits, k), 1)


def scale_shift(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Scale and shift the last dimension: `float16(float32(x)·scale + shift)`, each step rounded to nearest."""
    return (x.to(torch.float32) * scale + shift).to(torch.float16)


def xnor_matmul_scale(a_bits: Tensor, b_bits: Tensor, k: int, scale: Tensor, shift: Tensor) -> Tensor:
    """Multiply ±1 matrices, scale and shift: float16 [M, N]."""
    # the raw operation, so that a backend without this one still multiplies with its own kernel
    return scale_shift(torch.ops.cuda_ext.xnor_matmul(a_bits, b_bits, k), scale, shift)


def xnor_matmul_sign(a_bits: Tensor, b_bits: Tensor, k: int, threshold: Tensor, direction: Tensor) -> Tensor:
    """Multiply ±1 matrices, compare and pack: int32 [M, 16·⌈N/512⌉]."""
    return sign_threshold_pack(xnor_matmul(a_bits, b_bits, k), threshold, direction)


def xnor_conv2d(
    x_bits: Tensor,
    w_bits: Tensor,
    channels: int,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    pad_value: int,
) -> Tensor:
    """Convolve ±1 images with ±1 filters, position by position of the kernel: int32 [B, Ho, Wo, O]."""
    batch, height, width, _ = x_bits.shape
    outputs, *kernel, _ = w_bits.shape
    size = conv_output_size((height, width), kernel, stride, padding, dilation)
    x = unpack_signs(x_bits, channels)
    w = unpack_signs(w_bits, channels)
    x = F.pad(x, (0, 0, padding[1], padding[1], padding[0], padding[0]), value=float(pad_value))
    out = torch.zeros(batch, *size, outputs, dtype=torch.int32, device=x_bits.device)
    for i, j, tap in taps(x, kernel, stride, dilation, size):
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
    """Convolve ±1 images, scale and shift: float16 [B, Ho, Wo, O]."""
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
    """Convolve ±1 images, compare and pack: int32 [B, Ho, Wo, 16·⌈O/512⌉]."""
    out = xnor_conv2d(x_bits, w_bits, channels, stride, padding, dilation, pad_value)
    return sign_threshold_pack(out, threshold, direction)


def binary_weight_matmul(x: Tensor, w_bits: Tensor, k: int) -> Tensor:
    """Multiply real activations with ±1 weights: `out[m, n] = Σ_i ±x[m, i]`, float32 [M, N]."""
    return x.to(torch.float32) @ unpack_signs(w_bits, k).T


def bitplane_matmul(x: Tensor, w_bits: Tensor, k: int) -> Tensor:
    """Multiply uint8 activations with ±1 weights: `out[m, n] = Σ_i ±x[m, i]`, int32 [M, N]."""
    return _exact_matmul(x.to(torch.float32), unpack_signs(w_bits, k), 255)


def int8_matmul(a: Tensor, b: Tensor) -> Tensor:
    """Multiply int8 matrices: `out[m, n] = Σ_i a[m, i]·b[n, i]`, int32 [M, N]."""
    return _exact_matmul(a.to(torch.float32), b.to(torch.float32), 128 * 128)


def sign_threshold_pack(x: Tensor, threshold: Tensor, direction: Tensor) -> Tensor:
    """Compare with a threshold per channel, in the channel's direction, and pack: int32 [..., 16·⌈C/512⌉]."""
    rising, falling = x >= threshold, x <= threshold
    return _pack_bits(torch.where(direction > 0, rising, torch.where(direction < 0, falling, threshold >= 0)))
