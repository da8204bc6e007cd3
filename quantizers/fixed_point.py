"""Integer-only requantization: a multiplier in [½, 1) as Q31 and a shift, with gemmlowp's rounding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


@dataclass(frozen=True)
class FixedPointMultiplier:
    """A positive real factor in integers: `mantissa / 2^31 · 2^-shift`.

    Attributes:
        mantissa: int32, in 2^30 .. 2^31 - 1: the factor's [½, 1) part in Q31.
        shift: int32, the same shape; to the right where positive, to the left where negative.
    """

    mantissa: Tensor
    shift: Tensor

    @classmethod
    def of(cls, factor: Tensor | float) -> FixedPointMultiplier:
        """Return the nearest multiplier to `factor` (e.g. `S_x · S_w / S_y`, per channel), error at most 2^-32 of it.

        `factor = f · 2^e` with f in [½, 1): mantissa = round(f · 2^31), halves up; where that is 2^31 it is halved
        and e grows by one. shift = -e.

        Raises:
            ValueError: a factor that is not positive and finite, or outside 2^-31 .. 2^30 (gemmlowp's shifts).

        Source: Jacob et al. (CVPR 2018) section 2.2, eq. 5-6.
        """
        value = torch.as_tensor(factor, dtype=torch.float64)
        if not bool((torch.isfinite(value) & (value > 0)).all()):
            raise ValueError(f"a fixed-point multiplier must be positive and finite, got {value.tolist()}")
        fraction, exponent = torch.frexp(value)
        mantissa = torch.floor(fraction * 2.0**31 + 0.5).long()
        carried = mantissa == 2**31
        mantissa = torch.where(carried, 2**30, mantissa)
        shift = -(exponent.long() + carried.long())
        if bool(((shift > 31) | (shift < -30)).any()):
            raise ValueError(f"a fixed-point multiplier must lie within 2^-31 .. 2^30, got {value.tolist()}")
        return cls(mantissa.int(), shift.int())

    def value(self) -> Tensor:
        """Return the factor, exactly; float64, the shape of mantissa."""
        return torch.ldexp(self.mantissa.double(), -31 - self.shift)


def saturating_rounding_doubling_high_mul(a: Tensor, b: Tensor) -> Tensor:
    """Return `round(a · b / 2^31)`, halves away from zero in positive, towards zero in negative products; int32.

    To the letter of gemmlowp: `(ab + nudge) / 2^31` with the nudge 2^30, or 1 - 2^30 where ab < 0, and C's division
    towards zero. INT32_MIN · INT32_MIN saturates to INT32_MAX.

    Args:
        a, b: int32 (or int64 with values in the int32 range); they broadcast.

    Source: gemmlowp, fixedpoint/fixedpoint.h, SaturatingRoundingDoublingHighMul.
    """
    product = a.long() * b.long()
    nudged = product + torch.where(product >= 0, 2**30, 1 - 2**30)
    result = torch.div(nudged, 2**31, rounding_mode="trunc")
    return result.clamp_max(INT32_MAX).int()


def rounding_divide_by_pot(x: Tensor, exponent: Tensor | int) -> Tensor:
    """Return `round(x / 2^exponent)`, halves away from zero; int32.

    Args:
        x: int32.
        exponent: 0..31, an int or integer tensor that broadcasts.

    Raises:
        ValueError: an exponent outside 0..31.

    Source: gemmlowp, fixedpoint/fixedpoint.h, RoundingDivideByPOT.
    """
    wide, places = x.long(), torch.as_tensor(exponent, device=x.device).long()
    if bool(((places < 0) | (places > 31)).any()):
        raise ValueError(f"exponent must be within 0..31, got {places.tolist()}")
    mask = (1 << places) - 1
    threshold = (mask >> 1) + (wide < 0).long()
    return ((wide >> places) + ((wide & mask) > threshold).long()).int()


def multiply_by_fixed_point(x: Tensor, multiplier: FixedPointMultiplier) -> Tensor:
    """Return `x · factor` in integers: left shift (saturating), doubling high multiply, rounding right shift; int32.

    Two roundings, as on the integer hardware it stands for; the result may differ by one from the exactly rounded
    product.

    Args:
        x: int32 accumulators.
        multiplier: its tensors broadcast against x, e.g. [N] against [M, N].

    Source: gemmlowp's output stage (OutputStageScaleInt32ByFixedPointAndExponent).
    """
    shift = multiplier.shift.long()
    left, right = (-shift).clamp_min(0), shift.clamp_min(0)
    widened = (x.long() * (1 << left)).clamp(INT32_MIN, INT32_MAX)
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(widened, multiplier.mantissa), right)


def requantize(
    accumulator: Tensor, multiplier: FixedPointMultiplier, zero_point: Tensor | int, minimum: int, maximum: int
) -> Tensor:
    """Return the codes of the next layer: `clamp(x · factor + zero_point, minimum, maximum)`; int32.

    Args:
        accumulator: int32.
        multiplier: `S_x · S_w / S_y`.
        zero_point: of the output; integer.
        minimum, maximum: of the output's codes.
    """
    scaled = multiply_by_fixed_point(accumulator, multiplier).long()
    return (scaled + torch.as_tensor(zero_point, device=scaled.device)).clamp(minimum, maximum).int()
