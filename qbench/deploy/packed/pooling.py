"""Max-pooling of signs: an OR of bits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

import cuda_ext
from qbench.deploy.packed.spec import PoolSpec


def pool_bits(bits: Tensor, pool: PoolSpec, falling: Tensor | None = None) -> Tensor:
    """Return the max-pool of packed signs: OR over each window, to which a place outside the image adds nothing.

    Where the sign falls with the pooled value (γ < 0), the largest value is +1 only if all are: AND. As
    `AND(b) = not OR(not b)`, such channels come in inverted, and `falling` turns them back.

    bits: int32 [B, H, W, words], channels packed; falling: int32 [words], the mask of inverted channels, or None.
    Result: int32 [B, Ho, Wo, words].
    """
    size = pool.output_size(bits.shape[1:3])
    down, across = pool.padding
    if down or across:
        bits = F.pad(bits, (0, 0, across, across, down, down))
    result = None
    for _, _, tap in cuda_ext.taps(bits, pool.kernel, pool.stride, (1, 1), size):
        result = tap.clone() if result is None else torch.bitwise_or(result, tap, out=result)
    assert result is not None
    return result if falling is None else result.bitwise_xor_(falling)
