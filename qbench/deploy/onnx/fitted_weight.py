"""Weights whose scale leaves an int32 bias room."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from quantizers import Quantized

_LIMIT = 2.0**30  # of a bias, in units of the accumulator: the sums fit beside it in int32
_UNITS = 2.0**24  # of the bias of a channel of zeros: float32 holds it exactly
_SMALLEST = 2.0**-100


def fitted_weight(weight: Quantized, bias: Tensor | None, input_scale: Tensor) -> Quantized:
    """Return integer weights with scales S_w in whose units `S_x·S_w` an int32 holds every channel's bias.

    A channel of zeros gets `S_w = |b| / (2^24·S_x)`: any scale would do for its weights, and this one keeps the bias to
    2^-25 of it. Weights that have so much as vanished that the bias is beyond 2^30 units get `|b| / (2^30·S_x)`, and
    their codes are rounded to that. All other channels stay as they are.

    Args:
        weight: codes [N, ...] with one scale, or one for each channel.
        bias: [N], finite; None for none.
        input_scale: S_x, one.
    """
    if bias is None:
        return weight
    dims = [-1] + [1] * (weight.codes.dim() - 1)
    codes, shared = weight.codes.double(), weight.zero_point
    zero_point = codes.new_zeros(()) if shared is None else shared.double()
    centred = codes - zero_point
    scale = weight.scale.detach().double().reshape(-1).expand(len(codes))
    units = bias.detach().abs().double() / input_scale.double()
    zeros = (centred.flatten(1) == 0).all(1) & (units / _UNITS > _SMALLEST)
    wanted = torch.where(zeros, units / _UNITS, torch.maximum(scale, units / _LIMIT))
    if bool((wanted == scale).all()):
        return weight
    ratio = torch.where(zeros, 1.0, scale / wanted)
    lowest, highest = weight.format.minimum, weight.format.maximum
    fitted = (torch.round(centred * ratio.view(dims)) + zero_point).clamp(lowest, highest).to(weight.codes.dtype)
    return replace(
        weight,
        codes=fitted,
        scale=wanted.float().view(dims),
        zero_point=None if shared is None else shared.expand(len(codes), *dims[1:]),
    )
