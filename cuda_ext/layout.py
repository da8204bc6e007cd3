"""The packed layout: how a row of K signs lies in memory, and how it lies in a file.

In memory a row is `16·⌈K/512⌉` int32 words, so that every row starts on a 64-byte boundary of an aligned tensor and
a 512-bit register never straddles two rows. Sign i is bit `i mod 32` of word `⌊i/32⌋` (least significant bit first);
bit 1 stands for +1, bit 0 for -1. Bits at and past K are zero: the dot product `K - 2·popcount(a xor b)` counts on
it. In a file a row is its first `⌈K/8⌉` bytes, which is the 1/32 of fp32 that the papers promise.
"""

import torch
from torch import Tensor

WORD_BITS = 32
ROW_BITS = 512
WORDS_PER_STEP = ROW_BITS // WORD_BITS


def packed_words(k: int) -> int:
    """Count the words of a packed row of `k` signs: `16·⌈k/512⌉`. Raises ValueError for k < 1."""
    if k < 1:
        raise ValueError(f"k: expected at least 1, got {k}")
    return WORDS_PER_STEP * ((k + ROW_BITS - 1) // ROW_BITS)


def to_bytes(bits: Tensor, k: int) -> Tensor:
    """Convert packed rows to their file form: int32 [..., 16·⌈k/512⌉] -> uint8 [..., ⌈k/8⌉].

    Byte j holds signs 8j to 8j+7, least significant bit first. Raises ValueError when the last dimension is not that
    of k, TypeError when `bits` is not int32.
    """
    if bits.dtype != torch.int32:
        raise TypeError(f"bits: expected int32, got {bits.dtype}")
    if bits.dim() < 1 or bits.shape[-1] != packed_words(k):
        raise ValueError(f"bits: expected last dimension {packed_words(k)} for k = {k}, got {tuple(bits.shape)}")
    return bits.contiguous().view(torch.uint8)[..., : (k + 7) // 8].contiguous()


def from_bytes(data: Tensor, k: int) -> Tensor:
    """Convert the file form to packed rows, the inverse of `to_bytes`: uint8 [..., ⌈k/8⌉] -> int32 [..., 16·⌈k/512⌉].

    Bits at and past k are cleared, whatever the file holds there: the kernels rely on it. Raises TypeError or
    ValueError for another dtype or another last dimension.
    """
    if data.dtype != torch.uint8:
        raise TypeError(f"data: expected uint8, got {data.dtype}")
    used = (k + 7) // 8
    words = packed_words(k)
    if data.dim() < 1 or data.shape[-1] != used:
        raise ValueError(f"data: expected last dimension {used} for k = {k}, got {tuple(data.shape)}")
    out = torch.zeros(*data.shape[:-1], 4 * words, dtype=torch.uint8, device=data.device)
    out[..., :used] = data
    if k % 8:
        out[..., used - 1] &= (1 << (k % 8)) - 1
    return out.view(torch.int32)
