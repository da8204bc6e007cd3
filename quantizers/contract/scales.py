"""Scales and zero points: how many there may be, and what values a stored one can have."""

from __future__ import annotations

import torch
from torch import Tensor

from quantizers.formats import NumberFormat
from quantizers.quantized import Quantized

_FORMS = "a scale is of the whole tensor, of each entry of one axis, or of each group of NumberFormat.grouped"


def scale_fault(quantized: Quantized, x: Tensor, role: str) -> str | None:
    """Return what is wrong with the scale or the zero point of `x`; None where nothing is.

    A scale, or a zero point, of every value would be a real number of every value, which nothing counts. Weights have
    one for the tensor, for each entry of one axis, or for each group that the format names. Inputs may also have one
    for each position (of a token, of a pixel), over all channels.
    """
    format, scale, zero_point = quantized.format, quantized.scale, quantized.zero_point
    if format.kind == "float":
        return None
    if not scale.is_floating_point():
        return f"the scale is {_dtype(scale)}, expected a floating-point tensor"
    for name, values in (("scale", scale), ("zero point", zero_point)):
        if values is not None and (fault := _form_fault(name, values, quantized.codes, format, role)):
            return fault
    return _value_fault(scale, quantized, x) or _stored_fault(scale, format) or _zero_point_fault(zero_point, format)


def _form_fault(name: str, values: Tensor, codes: Tensor, format: NumberFormat, role: str) -> str | None:
    given = f"the {name} has the shape {list(values.shape)} for codes {list(codes.shape)}"
    if format.group_size is not None:
        rows, width = codes.shape[0], codes.numel() // max(codes.shape[0], 1)
        wanted = [rows, -(-width // format.group_size)]
        return None if list(values.shape) == wanted else f"{given} in groups of {format.group_size}, expected {wanted}"
    try:
        if torch.broadcast_shapes(values.shape, codes.shape) != codes.shape:
            return f"{given}, which does not broadcast; {_FORMS}"
    except RuntimeError:
        return f"{given}, which does not broadcast; {_FORMS}"
    axes = [axis for axis, size in enumerate([1] * (codes.dim() - values.dim()) + list(values.shape)) if size > 1]
    of_each = role == "activations" and 1 < codes.numel() == values.numel()  # positions of a single channel
    of_positions = role == "activations" and any(axis not in axes for axis in (1, codes.dim() - 1))
    if not of_each and (len(axes) <= 1 or (of_positions and codes.dim() > 2)):
        return None
    return f"{given}, {values.numel():,} real numbers that nobody counts; {_FORMS}"


def _value_fault(scale: Tensor, quantized: Quantized, x: Tensor) -> str | None:
    bad = ~torch.isfinite(scale) | (scale < 0)
    if bool(bad.any()):
        return f"a scale is {float(scale[bad][0]):g}, expected a finite number above 0; clamp it from below"
    zero = quantized.per_code(scale) == 0
    if bool((zero & (x != 0)).any()):
        return "a scale is 0 for values that are not; clamp it from below"
    return None


def _stored_fault(scale: Tensor, format: NumberFormat) -> str | None:
    if format.scale_bits == 8:
        mantissa = torch.frexp(scale).mantissa
        fits, remedy = (mantissa == 0.5) | (scale == 0), "a power of two (8 bits hold the exponent alone)"
    elif format.scale_bits == 16:
        fits, remedy = scale.half().to(scale.dtype) == scale, "a float16 value: scale.half().float()"
    else:
        fits, remedy = scale.float().to(scale.dtype) == scale, "a float32 value"
    if bool(fits.all()):
        return None
    return f"{format} stores a scale in {format.scale_bits} bits, got {float(scale[~fits][0]):.9g}: make it {remedy}"


def _zero_point_fault(zero_point: Tensor | None, format: NumberFormat) -> str | None:
    if zero_point is None:
        return None
    if format.kind not in ("integer", "pixel"):
        return f"{format} has no zero point: give None"
    steps = zero_point.double() * (2 if format.kind == "pixel" else 1)
    inside = (steps == steps.round()) & (zero_point >= format.minimum) & (zero_point <= format.maximum)
    if not bool(inside.all()):
        return (
            f"a zero point is {float(zero_point[~inside].reshape(-1)[0]):g}, expected a "
            f"{'multiple of 1/2' if format.kind == 'pixel' else 'code'} from {format.minimum:g} to {format.maximum:g}"
        )
    return None


def _dtype(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")
