"""The scales of groups of weights, and of whole rows: from the largest magnitude to what is stored."""

from __future__ import annotations

import torch
from torch import Tensor

from quantizers.quantized import row_length

_FLOAT16_MAX = 65504.0
_E8M0 = (-127, 127)  # exponents that an E8M0 scale has; its code 255 is NaN


def group_scales(x: Tensor, group_size: int | None, top: float, scale_bits: int, cover: bool = True) -> Tensor:
    """Return the scale of each group of `x`: `max|x| / top` over the group, as `scale_bits` store it.

    A scale is rounded up, so that `top` times it covers the group: no value saturates. Of a group of zeros it is 1.

    - 32 bits: float32 as computed.
    - 16 bits: the smallest float16 that is no smaller. Below 2^-24 it is 2^-24, above 65504 it is 65504: such groups'
      smallest values become 0, their largest saturate.
    - 8 bits: the smallest power of two that is no smaller, within 2^-127..2^127 (E8M0, an exponent alone).
      `cover=False` takes OCP's in its place, `2^(⌊log2 max|x|⌋ - ⌊log2 top⌋)`: it is at most the other, and values
      beyond `top` times it saturate.

    Args:
        x: finite, [N, ...] with rows of K values; of one dimension it is one row.
        group_size: consecutive values of a row that share a scale, the last group of a row may be smaller; None for K.
        top: the largest magnitude in units of the scale.
        scale_bits: 32, 16 or 8.
        cover: see above; of 32 and 16 bits only True.

    Returns: float32 [N, G] with G = ⌈K / group_size⌉, or 1.

    Raises:
        ValueError: NaN or infinity in `x`.

    Source: E8M0 and `cover=False`: OCP Microscaling Formats (MX) specification 1.0 (2023) sections 5.4.1 and 6.3.
    """
    groups = by_group(x.abs(), group_size)
    largest = groups.amax(2) if groups.numel() else groups.new_zeros(groups.shape[:2])
    if not bool(torch.isfinite(largest).all()):
        raise ValueError("NaN or infinity has no scale")
    # float32 holds every scale; the largest float64 values saturate.
    largest = largest.double()
    if scale_bits == 8:
        found = _power_of_two(largest / top) if cover else _ocp_power(largest, top)
    elif scale_bits == 16:
        found = _float16_up(largest / top)
    else:
        found = (largest / top).clamp(max=torch.finfo(torch.float32).max).float()
    # What underflows to 0 is a group of zeros in the format.
    return torch.where((largest > 0) & (found > 0), found, 1.0)


def by_group(x: Tensor, group_size: int | None) -> Tensor:
    """Return `x` by groups, [N, G, size], with zeros behind a row's end where its last group is smaller.

    size is `group_size`, or K where that is smaller or None.
    """
    length = row_length(x)
    rows = x.reshape(x.shape[0] if x.dim() > 1 else 1, length)
    size = max(1, length if group_size is None else min(group_size, length))
    count = 1 if group_size is None else -(-length // size)
    return torch.nn.functional.pad(rows, (0, count * size - length)).reshape(len(rows), count, size)


def from_groups(groups: Tensor, shape: torch.Size) -> Tensor:
    """Return what `by_group` made of a tensor in its `shape` again."""
    length = shape[1:].numel() if len(shape) > 1 else shape.numel()
    return groups.flatten(1)[:, :length].reshape(shape)


def _float16_up(wanted: Tensor) -> Tensor:
    """Return the smallest float16 that is no smaller than `wanted >= 0`, as float32; 65504 above that."""
    wanted = wanted.clamp(max=_FLOAT16_MAX)
    nearest = wanted.half()
    # The bit patterns of positive floats are in their order: the next float is the next integer.
    above = (nearest.view(torch.int16) + 1).view(torch.float16)
    return torch.where(nearest.double() < wanted, above, nearest).float()


def _power_of_two(wanted: Tensor) -> Tensor:
    """Return the smallest power of two that is no smaller than `wanted >= 0`, within E8M0; float32."""
    mantissa, exponent = torch.frexp(wanted)  # wanted = mantissa · 2^exponent, mantissa in [1/2, 1)
    return _power(torch.where(mantissa == 0.5, exponent - 1, exponent))


def _ocp_power(largest: Tensor, top: float) -> Tensor:
    """Return `2^(⌊log2 largest⌋ - ⌊log2 top⌋)`, within E8M0; float32."""
    of_top = torch.frexp(torch.tensor(top, dtype=torch.float64)).exponent.item()
    return _power(torch.frexp(largest).exponent - int(of_top))


def _power(exponent: Tensor) -> Tensor:
    return torch.ldexp(torch.ones_like(exponent, dtype=torch.float64), exponent.clamp(*_E8M0)).float()
