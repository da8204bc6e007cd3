"""All that stands between a layer's sum and the next layer's input sign, as one comparison per channel.

BatchNorm and sign fold to `sum >= τ` (γ > 0), `sum <= τ` (γ < 0) or a constant (γ = 0), with `τ = μ - β·σ/γ`. That
formula does not round as the float32 BatchNorm does, and integer sums sit exactly on thresholds, so τ is not
computed: the module's own float32 arithmetic is asked, sum by sum. `fl(fl(s·α) + β)`, with or without a fused
multiply-add, never decreases in s for α > 0 and never increases for α < 0, so bisection finds the one place where the
answer changes, and the comparison gives the module's answer for every sum.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from cuda_ext import integer_threshold

IsPositive = Callable[[Tensor], Tensor]
"""float32 sums [C], one per channel, to bool [C]: whether the next layer reads +1."""

_INT32 = torch.iinfo(torch.int32)
_LARGEST = 0x7F7FFFFF  # bits of the largest finite float32


def fold_integer(is_positive: IsPositive, bound: int, divisor: int, channels: int) -> tuple[Tensor, Tensor]:
    """Return the comparison on integer sums in [-bound, bound] whose value is `sum / divisor`.

    Returns: threshold int32 [C] and rising bool [C]: +1 where `sum >= threshold` (rising) or `sum <= threshold`. A
    constant is a rising comparison that always or never holds.
    """
    threshold, direction = integer_threshold(
        lambda sums: is_positive(sums.to(torch.float32) / divisor), -bound, bound, channels
    )
    never_or_always = torch.where(threshold < 0, _INT32.max, _INT32.min).to(torch.int32)
    constant = direction == 0
    return torch.where(constant, never_or_always, threshold), constant | (direction > 0)


def fold_float(is_positive: IsPositive, channels: int) -> tuple[Tensor, Tensor]:
    """Return the comparison on float32 sums, over all finite ones: threshold float32 [C], rising bool [C]."""
    keys, direction = integer_threshold(
        lambda sums: is_positive(_float_of_key(sums)), -_LARGEST - 1, _LARGEST, channels
    )
    constant = direction == 0
    never_or_always = torch.where(keys < 0, torch.inf, -torch.inf)
    return torch.where(constant, never_or_always, _float_of_key(keys)), constant | (direction > 0)


def _float_of_key(keys: Tensor) -> Tensor:
    """Return the float32 of a key; keys have the order of their floats.

    The key of a positive float is its bits, that of a negative one -1 less the bits of its magnitude.
    """
    keys = keys.to(torch.int64)
    bits = torch.where(keys >= 0, keys, (-1 - keys) - 2**31)
    return bits.to(torch.int32).view(torch.float32)


def rising_only(threshold: Tensor, rising: Tensor) -> Tensor:
    """Return thresholds τ' such that `sum >= τ'` is a rising channel's answer and the inverse of a falling channel's.

    `sum <= τ` is not `sum >= next(τ)`, next being the following integer or float32.
    """
    following = (
        threshold + 1 if threshold.dtype == torch.int32 else threshold.nextafter(threshold.new_tensor(torch.inf))
    )
    return torch.where(rising, threshold, following)
