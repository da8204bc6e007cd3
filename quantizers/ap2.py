"""AP2, the approximate power of two: the shift that stands in for a multiplication."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def ap2(x: Tensor) -> Tensor:
    """`AP2(x) = sign(x) · 2^round(log2|x|)`, in x's shape and dtype: the nearest power of two in the log domain.

    With `|x| = m · 2^e`, m in [½, 1), the exponent is e where m² >= ½ and e - 1 otherwise, exactly: no logarithm is
    computed, and no tie can occur (m = √½ is irrational). AP2(0) = 0; subnormals are treated like any other number;
    what would round beyond the largest power of two of the dtype gives that one (2^127 in float32); ±inf and NaN
    stay. No gradient: where AP2 factors appear they are constants.

    Raises:
        TypeError: an integer tensor.

    Source: BinaryNet (arXiv 1602.02830) section 1.3 and algorithms 2-4.
    """
    if not x.is_floating_point():
        raise TypeError(f"AP2 needs a floating-point tensor, got {x.dtype}")
    # The square of a float32 mantissa is exact in float64; of the float64 mantissas, the two next to √½ have squares
    # that round to different sides of ½ as well.
    mantissa, exponent = torch.frexp(x.double())
    rounded = exponent - (mantissa.square() < 0.5).to(exponent.dtype)
    largest = int(torch.frexp(torch.tensor(torch.finfo(x.dtype).max, dtype=torch.float64)).exponent) - 1
    power = torch.ldexp(torch.ones_like(mantissa), rounded.clamp_max(largest))
    result = torch.where((x == 0) | ~torch.isfinite(x), x.double(), torch.sign(x).double() * power)
    return result.to(x.dtype)
