"""The scale and zero point of the affine map `x = scale · (code - zero_point)` that covers a range."""

from __future__ import annotations

import torch
from torch import Tensor

from quantizers.formats import NumberFormat
from quantizers.ranges import Range

SMALLEST_SCALE = 2.0**-126  # the smallest normal float32: 1 / scale is finite too
SCALE_OF_ZERO = 1.0


def is_symmetric(format: NumberFormat) -> bool:
    """Return True for signed formats: zero point 0, range [-t, t]."""
    return format.minimum < 0


def affine_parameters(range: Range, format: NumberFormat, power_of_two: bool = False) -> tuple[Tensor, Tensor]:
    """Return the scale (float32 [C]) and zero point (int32 [C]) with which `format` covers `range`.

    Symmetric: `S = t / maximum`, `Z = 0`; a full-range format gets the same S, and its extra code at the bottom
    holds values down to `-(maximum + 1) · S`. Asymmetric: `S = (high - low) / (2^bits - 1)` and
    `Z = round(-low / S)`, half to even, clamped to the codes: 0 is exactly the code Z. Rounding Z moves the covered
    interval by up to S/2, which costs no value of the range more than the S/2 that rounding costs anyway.

    - `power_of_two`: `S = 2^-fl` with the largest fractional length fl that still covers the range (S is rounded
      *up* to a power of two, so that nothing saturates that did not before).
    - S is the smallest float32 with `S · maximum >= t` in float32, so that t itself is inside.
    - A range of width 0 (all zeros) gets S = 1: every code is Z, every value 0.
    - S is at least 2^-126: subnormal ranges use fewer codes, and the error is still at most S/2.

    Raises:
        ValueError: a range too wide for a finite float32 scale and ends.

    Source: Jacob et al. (CVPR 2018) section 2.1 and 3; Krishnamoorthi (2018) section 2.
    """
    symmetric = is_symmetric(format)
    width = range.high if symmetric else range.high - range.low
    steps = float(format.maximum - (0 if symmetric else format.minimum))
    if power_of_two:
        mantissa, exponent = torch.frexp(width / steps)  # = mantissa · 2^exponent, mantissa in [1/2, 1)
        scale = torch.ldexp(torch.ones_like(width), exponent - (mantissa == 0.5).int()).float()
    else:
        scale = (width / steps).float()
        too_small = (scale * steps).double() < width  # products of two float32 numbers as `dequantize` rounds them
        scale = torch.where(too_small, torch.nextafter(scale, torch.full_like(scale, torch.inf)), scale)
    scale = torch.where(width > 0, scale.clamp_min(SMALLEST_SCALE), SCALE_OF_ZERO)
    if symmetric:
        zero_point = torch.zeros_like(scale, dtype=torch.int32)
    else:
        zero_point = torch.round(-range.low / scale.double()).clamp(format.minimum, format.maximum).int()
    ends = torch.stack([(format.minimum - zero_point) * scale, (format.maximum - zero_point) * scale])
    if not bool(torch.isfinite(ends).all()):
        raise ValueError(f"a range of {float(width.max()):g} is too wide for {format}: its ends overflow float32")
    return scale, zero_point
