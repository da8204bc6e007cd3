"""A BatchNorm's evaluation in its own arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from qbench.nn.norm import Norm, ShiftNorm


def normalization(norm: Norm | None) -> Callable[[Tensor], Tensor]:
    """Return the evaluation of a BatchNorm on float32 [B, C], rounded as the module does; None is the identity.

    Of images it is the same at every pixel.
    """
    if norm is None:
        return lambda x: x
    mean = norm.running_mean
    assert mean is not None
    if isinstance(norm, ShiftNorm):
        factor, shift = scale_and_shift(norm)
        return lambda x: (x - mean) * factor + shift
    return lambda x: F.batch_norm(x, mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)


def scale_and_shift(norm: Norm) -> tuple[Tensor, Tensor]:
    """Return the two float32 numbers per channel of a BatchNorm's evaluation: `y = x·scale + shift`.

    Those that torch's BatchNorm computes, asked for and not recomputed: `shift` is its value at 0; `scale` its value at
    1 without mean and bias, `1·scale + 0`. A shift-based one subtracts first: `y = (x - mean)·scale + shift`.
    """
    if isinstance(norm, ShiftNorm):
        return norm.factor(), torch.zeros(norm.num_features) if norm.bias is None else norm.bias.detach()
    shift = normalization(norm)(torch.zeros(1, norm.num_features))[0]
    assert norm.running_mean is not None
    no_mean = torch.zeros_like(norm.running_mean)
    ones = torch.ones(1, norm.num_features)
    scale = F.batch_norm(ones, no_mean, norm.running_var, norm.weight, None, False, 0.0, norm.eps)[0]
    return scale, shift
