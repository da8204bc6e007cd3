"""Thresholds: a BatchNorm followed by a sign, as one comparison per channel."""

from collections.abc import Callable

import torch
from torch import Tensor


def fold_batch_norm(weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Fold `sign(γ·(x - μ)/σ + β)` into a threshold and a direction, `σ = sqrt(variance + eps)`.

    For γ > 0 it is +1 where `x >= τ = μ - β·σ/γ`; for γ < 0 where `x <= τ`; for γ = 0 it is the constant sign(β), and
    τ is β. All arguments are floats [C]. Result: float32 [C] and int8 [C], for `sign_threshold_pack` on float32.
    Computed in float64: at the boundary the BatchNorm's own float32 rounding may decide otherwise, so integer
    accumulators, which sit on boundaries, take `integer_threshold` instead. Source: PyTorch's BatchNorm in evaluation.
    """
    w, b, m, v = (t.detach().to(torch.float64) for t in (weight, bias, mean, variance))
    zero = w == 0
    tau = m - b * torch.sqrt(v + eps) / torch.where(zero, torch.ones_like(w), w)
    return torch.where(zero, b, tau).to(torch.float32), torch.sign(w).to(torch.int8)


def integer_threshold(
    is_positive: Callable[[Tensor], Tensor], low: int, high: int, channels: int
) -> tuple[Tensor, Tensor]:
    """Find the comparison on integers that equals any monotone function's sign, by asking the function itself.

    `is_positive(s)` takes int64 [channels], one accumulator value per channel in [low, high], and returns bool
    [channels]: whether the layer's real arithmetic (scale, bias, BatchNorm, in its own float32 rounding) makes it +1.
    Each channel has to be monotone in s, rising or falling or constant; a chain of float operations by constants is.
    Bisection takes ⌈log2(high - low)⌉ calls.

    Result: threshold int32 [channels], direction int8 [channels], for `sign_threshold_pack` on int32: rising channels
    get the smallest s that is positive, falling ones the largest, constant ones direction 0 and threshold 0 or -1.
    ValueError for low > high or bounds outside int32.
    """
    if not -(2**31) <= low <= high < 2**31:
        raise ValueError(f"low, high: expected -2^31 <= low <= high < 2^31, got {low}, {high}")
    bottom = torch.full((channels,), low, dtype=torch.int64)
    top = torch.full((channels,), high, dtype=torch.int64)
    at_bottom, at_top = is_positive(bottom).cpu(), is_positive(top).cpu()
    # invariant: is_positive(bottom) == at_bottom, is_positive(top) == at_top
    while bool((top - bottom > 1).any()):
        middle = (bottom + top) // 2
        goes_up = is_positive(middle).cpu() == at_bottom
        bottom, top = torch.where(goes_up, middle, bottom), torch.where(goes_up, top, middle)
    constant = at_bottom == at_top
    direction = torch.where(constant, 0, torch.where(at_top, 1, -1))
    threshold = torch.where(constant, torch.where(at_top, 0, -1), torch.where(at_top, top, bottom))
    return threshold.to(torch.int32), direction.to(torch.int8)
