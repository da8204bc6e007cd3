"""Shift-based batch normalization: BatchNorm whose multiplications are shifts."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from quantizers import ap2, ap2_normal


class _ShiftNormalize(torch.autograd.Function):
    """Normalization by a batch's own statistics; returns the output, the mean, and 1/σ before its AP2."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        over = [0, *range(2, x.dim())]
        columns = [1, -1] + [1] * (x.dim() - 2)
        mean = x.mean(over, keepdim=True)
        centred = x - mean
        shifted = ap2_normal(centred)
        inverse = ((centred * shifted).mean(over, keepdim=True) + eps).rsqrt()
        scale = ap2_normal(inverse)  # a NaN is in `centred` as well
        gamma = None if weight is None else ap2(weight).view(columns)
        y = centred.mul_(scale if gamma is None else scale * gamma)  # exact: by a power of two
        if bias is not None:
            y += bias.view(columns)
        ctx.save_for_backward(shifted, scale, gamma)
        mean, inverse = mean.flatten(), inverse.flatten()
        ctx.mark_non_differentiable(mean, inverse)
        ctx.has_bias = bias is not None
        return y, mean, inverse

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        shifted, scale, gamma = ctx.saved_tensors
        over = [0, *range(2, grad.dim())]
        count = grad.numel() // grad.shape[1]
        total = grad.sum(over, keepdim=True)
        against = (grad * shifted).sum(over, keepdim=True)
        factor = scale if gamma is None else scale * gamma
        grad_x = (grad - total / count - shifted * (scale.square() * against / count)).mul_(factor)
        # AP2(x̂) = AP2(C)·AP2(1/σ): AP2 goes through a factor that is a power of two.
        grad_weight = None if gamma is None else (scale * against).flatten()
        return grad_x, grad_weight, total.flatten() if ctx.has_bias else None, None


class _ShiftBatchNorm(_BatchNorm):
    """The arithmetic that `ShiftBatchNorm1d` and `2d` share.

    Attributes:
        running_var: None.
        running_inverse_std: the running average of 1/σ, float32 [C], in the place of a variance.
    """

    running_inverse_std: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.125,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device=device, dtype=dtype)
        # None: code that reads a variance, as the folding of a plain BatchNorm does, then fails instead of going wrong.
        self.register_buffer("running_var", None)
        inverse = torch.ones_like(self.running_mean) if self.running_mean is not None else None
        self.register_buffer("running_inverse_std", inverse)

    @classmethod
    def from_batch_norm(cls, norm: _BatchNorm) -> Self:
        """Return a shift-based norm in place of a plain one: its γ and β (shared) and its statistics.

        ε and momentum are this class's defaults, not the plain norm's.
        """
        new = cls(norm.num_features, affine=norm.affine, track_running_stats=norm.track_running_stats)
        new.weight, new.bias = norm.weight, norm.bias
        if norm.running_mean is not None and new.running_mean is not None:
            assert norm.running_var is not None
            assert new.running_inverse_std is not None
            new.running_mean.copy_(norm.running_mean)
            new.running_inverse_std.copy_((norm.running_var + new.eps).rsqrt())
        return new.train(norm.training)

    def reset_running_stats(self) -> None:
        """Set the mean to 0 and 1/σ to 1, as before any batch."""
        if "running_inverse_std" not in self._buffers:  # torch's constructor, whose buffers are fresh
            super().reset_running_stats()
        elif self.running_mean is not None and self.running_inverse_std is not None:
            assert self.num_batches_tracked is not None
            self.running_mean.zero_()
            self.running_inverse_std.fill_(1)
            self.num_batches_tracked.zero_()

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalized input, same shape and dtype; see `ShiftBatchNorm1d`."""
        self._check_input_dim(input)
        x = input.to(torch.float32) if input.dtype in (torch.float16, torch.bfloat16) else input
        columns = [1, -1] + [1] * (x.dim() - 2)
        if not self.training and self.running_mean is not None:
            factor = self.factor().view(columns)
            y = (x - self.running_mean.view(columns)) * factor
            if self.bias is not None:
                y = y + self.bias.view(columns)
            return y.to(input.dtype)
        if self.training and x.numel() // x.shape[1] < 2:
            raise ValueError(f"expected more than 1 value per channel in training, got input {tuple(input.shape)}")
        y, mean, inverse = _ShiftNormalize.apply(x, self.weight, self.bias, self.eps)
        if self.training and self.running_mean is not None:
            self._follow(mean, inverse)
        return y.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, inverse: Tensor) -> None:
        """Take a batch's mean and 1/σ into the running averages."""
        assert self.running_mean is not None
        assert self.running_inverse_std is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_inverse_std.lerp_(inverse.to(self.running_inverse_std.dtype), share)

    def factor(self) -> Tensor:
        """Return `AP2(running 1/σ)·AP2(γ)` [C], zero or ± a power of two.

        In evaluation `y = (x - running_mean)·factor + β`. Before a sign that is a threshold: `y >= 0` is
        `x >= running_mean - β/factor` for factor > 0, `<=` for factor < 0, and β's sign for factor = 0.

        Raises:
            ValueError: no running statistics are kept.
        """
        if self.running_inverse_std is None:
            raise ValueError("ShiftBatchNorm without running statistics has no fixed factor")
        scale = ap2(self.running_inverse_std)
        return scale if self.weight is None else scale * ap2(self.weight)


class ShiftBatchNorm1d(_ShiftBatchNorm, nn.BatchNorm1d):
    """BatchNorm over [N, C] or [N, C, L] with shifts (by powers of two) in place of its multiplications.

    With `C(x) = x - mean(x)`, per channel over the batch:

        var = mean(C(x)·AP2(C(x)))
        y   = C(x)·AP2(1/sqrt(var + ε))·AP2(γ) + β

    Backward is plain BatchNorm's, with the AP2 factors in place of the true ones, as in the authors' Torch7 code. With
    `A = AP2(C(x))`, `s = AP2(1/sqrt(var + ε))` and g the gradient of y:

        dx = AP2(γ)·s·(g - mean(g) - A·s²·mean(A·g)),  dγ = Σ g·AP2(x̂) = Σ g·A·s,  dβ = Σ g

    γ itself is real-valued and is updated as such: a latent parameter behind its AP2, with the identity as estimator.

    Running averages are kept of the mean and of 1/σ before its AP2, with torch's momentum; evaluation takes the AP2 of
    the average (see `factor`). They start at 0 and 1 (the authors' at 0 and 0). Defaults are the authors': momentum
    1/8, ε = 1e-5.

    How far from plain BatchNorm: an AP2 is within a factor √2 of its number, so `var + ε` is within √2, `1/sqrt` within
    2^¼, its AP2 within 2^¾, and with AP2(γ) for the same statistics

        y - β = r·(y_plain - β) with 2^-1.25 <= r <= 2^1.25, one r per channel (without γ: 2^-0.75 <= r <= 2^0.75).

    So signs of `y - β` agree. Input of 16 bits is normalized in float32.

    Raises:
        ValueError: an input of another rank; in training one value per channel.

    Source: Hubara et al., arXiv 1602.02505, and Courbariaux et al., arXiv 1602.02830, algorithms 2 and 3; backward,
    running averages and defaults from the authors' published code.
    """


class ShiftBatchNorm2d(_ShiftBatchNorm, nn.BatchNorm2d):
    """`ShiftBatchNorm1d` over images [N, C, H, W]: statistics per channel over batch and positions."""
