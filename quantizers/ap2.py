"""AP2, the approximate power of two: the shift that stands in for a multiplication."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class _Layout:
    """The bits of a floating-point type: sign, exponent, mantissa."""

    integer: torch.dtype
    exponent_bits: int
    mantissa_bits: int

    @property
    def one(self) -> int:
        """1 in the exponent: the smallest normal number."""
        return 1 << self.mantissa_bits

    @property
    def infinity(self) -> int:
        """All ones in the exponent; NaNs lie above."""
        return ((1 << self.exponent_bits) - 1) << self.mantissa_bits

    @property
    def magnitude(self) -> int:
        """All bits but the sign's."""
        return self.infinity + self.one - 1

    @property
    def carry(self) -> int:
        """The number whose sum with the bits carries into the exponent exactly for mantissas >= √2 (no float is √2)."""
        return 2 * self.one - 1 - math.isqrt(2 * self.one**2)


_LAYOUTS = {torch.float32: _Layout(torch.int32, 8, 23), torch.float64: _Layout(torch.int64, 11, 52)}


@torch.no_grad()
def ap2(x: Tensor) -> Tensor:
    """Return `AP2(x) = sign(x) · 2^round(log2|x|)` in x's shape and dtype: the nearest power of two by logarithm.

    With `|x| = m · 2^e`, m in [1, 2), the exponent is e + 1 where m >= √2 and e otherwise, decided on the bits: no
    logarithm is computed, and no tie can occur (√2 is irrational). AP2(0) = 0; subnormals are treated like any other
    number; what would round beyond the largest power of two of the dtype gives that one (2^127 in float32); ±inf and
    NaN stay. No gradient: where AP2 factors appear they are constants.

    Raises:
        TypeError: an integer tensor.

    Source: BinaryNet (arXiv 1602.02830) section 1.3 and algorithms 2-4.
    """
    if not x.is_floating_point():
        raise TypeError(f"AP2 needs a floating-point tensor, got {x.dtype}")
    wide = x if x.dtype in _LAYOUTS else x.float()
    layout = _LAYOUTS[wide.dtype]
    exponent_bias = layout.infinity // layout.one // 2
    largest = exponent_bias + math.frexp(torch.finfo(x.dtype).max)[1] - 1
    bits = wide.view(layout.integer)
    magnitude = bits & layout.magnitude
    power = _rounded(magnitude, layout).clamp_max_(largest * layout.one)
    # The bits of a subnormal power of two are that power as an integer, as those of any subnormal are its magnitude.
    subnormal = _rounded(magnitude.to(wide.dtype).view(layout.integer), layout).view(wide.dtype).to(layout.integer)
    power = torch.where(magnitude < layout.one, subnormal, power)
    power = torch.where(magnitude < layout.infinity, power, magnitude)
    return power.bitwise_or_(bits & ~layout.magnitude).view(wide.dtype).to(x.dtype)


@torch.no_grad()
def ap2_normal(x: Tensor) -> Tensor:
    """Return `ap2(x)` of zeros and normal numbers up to √2 times the largest power of two, faster.

    Two operations on the bits of float32 and float64; other types go to `ap2`. It is for whole tensors in every step of
    a training, where the dozen operations of `ap2` would show. Beyond that range subnormals give 0 or the smallest
    normal number, the largest numbers infinity, and NaN any number: a caller multiplies by the NaN itself.

    Raises:
        TypeError: an integer tensor.
    """
    layout = _LAYOUTS.get(x.dtype)
    return ap2(x) if layout is None else _rounded(x.view(layout.integer), layout).view(x.dtype)


def _rounded(bits: Tensor, layout: _Layout) -> Tensor:
    """Return the bits of the AP2 of normal numbers or zeros, given as bits; the sign stays."""
    return (bits + layout.carry).bitwise_and_(-layout.one)
