"""Philox4x32-10, a counter-based random generator: number i of a stream is a pure function of (seed, offset, i).

Source: Salmon, Moraes, Dror, Shaw, *Parallel random numbers: as easy as 1, 2, 3*, SC 2011. Being a function of the
element's index and of nothing else, it gives the same bits on every backend, for every number of threads.
"""

import torch
from torch import Tensor

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF


def _mulhilo(constant: int, x: Tensor) -> tuple[Tensor, Tensor]:
    # 32 × 32 -> 64 bits out of products below 2^49: int64 has no unsigned high half
    low = constant * (x & 0xFFFF)
    high = constant * (x >> 16) + (low >> 16)
    return high >> 16, ((high & 0xFFFF) << 16) | (low & 0xFFFF)


def philox_4x32_10(counter: tuple[Tensor, ...], key: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Compute one block: ten rounds on four counter words and two key words, int64 tensors of values in [0, 2^32)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = _mulhilo(_MULTIPLIERS[0], c0)
        high1, low1 = _mulhilo(_MULTIPLIERS[1], c2)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


def random_words(seed: Tensor, count: int) -> Tensor:
    """Compute the first `count` 32-bit numbers of a stream: int64 [count], values in [0, 2^32).

    `seed` is int64 [2], (seed, offset): the seed's halves are the key, low half first; the counter is
    (⌊i/4⌋ low, ⌊i/4⌋ high, offset low, offset high), and number i is output word i mod 4.
    """
    seed = seed.to(torch.int64)
    block = torch.arange((count + 3) // 4, dtype=torch.int64, device=seed.device)
    key, offset = seed[0], seed[1]
    # >> on int64 keeps the sign, the mask removes it
    words = philox_4x32_10(
        (
            block & _MASK,
            block >> 32,
            (offset & _MASK).expand_as(block),
            ((offset >> 32) & _MASK).expand_as(block),
        ),
        (key & _MASK, (key >> 32) & _MASK),
    )
    return torch.stack(words, dim=1).flatten()[:count]
