"""AP2, the approximate power of two: the shift that stands in for a multiplication."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class _Layout:
    """A floating-point type's bits: sign, exponent, mantissa."""

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
        """What, added to the bits, carries into the exponent exactly for mantissas >= √2, which no float is."""
        return 2 * self.one - 1 - math.isqrt(2 * self.one**2)


_LAYOUTS = {torch.float32: _Layout(torch.int32, 8, 23), torch.float64: _Layout(torch.int64, 11, 52)}


@torch.no_grad()
def ap2(x: Tensor) -> Tensor:
    """`AP2(x) = sign(x) · 2^round(log2|x|)`, in x's shape and dtype: the nearest power of two in the log domain.

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
    """`ap2(x)` for zeros and normal numbers up to √2 times the largest power of two, at the price of an addition.

    Two operations on the bits of float32 and float64; other types go to `ap2`. It is for whole tensors in every step of
    a training, where the dozen of `ap2` would show. Beyond that range subnormals give 0 or the smallest normal number,
    the largest numbers infinity, and a NaN any number: a caller has the NaN in its other factor.
    """
    layout = _LAYOUTS.get(x.dtype)
    return ap2(x) if layout is None else _rounded(x.view(layout.integer), layout).view(x.dtype)


def _rounded(bits: Tensor, layout: _Layout) -> Tensor:
    """Bits of normal numbers or zeros as those of their AP2; the sign stays."""
    return (bits + layout.carry).bitwise_and_(-layout.one)
