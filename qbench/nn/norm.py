"""The BatchNorms whose evaluation is known: scale and shift."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qbench.nn.shift_batch_norm import ShiftBatchNorm1d, ShiftBatchNorm2d

Norm = nn.BatchNorm1d | nn.BatchNorm2d
ShiftNorm = ShiftBatchNorm1d | ShiftBatchNorm2d
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, ShiftBatchNorm1d, ShiftBatchNorm2d)
"""The exact types whose evaluation is `x·factor + shift` with the numbers of `norm_factor`; a subclass may differ."""


@torch.no_grad()
def norm_factor(norm: Norm) -> tuple[Tensor, Tensor]:
    """Return (factor, shift) of `BatchNorm(x) = x·factor + shift` in evaluation; float64 [C] each.

    `factor = gamma / sqrt(var + eps)`, of a shift-based BatchNorm its power of two; `shift = beta - mean · factor`.
    """
    assert norm.running_mean is not None
    if isinstance(norm, ShiftNorm):
        factor = norm.factor().double()
    else:
        assert norm.running_var is not None
        factor = (norm.running_var.double() + norm.eps).rsqrt()
        if norm.weight is not None:
            factor = factor * norm.weight.double()
    shift = -norm.running_mean.double() * factor
    return factor, shift if norm.bias is None else shift + norm.bias.double()
