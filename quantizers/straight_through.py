"""Straight-through estimation: values that have no useful derivative, and the gradient that stands in for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Gradient = Callable[[Tensor, Tensor], Tensor]
"""A gradient estimator: `gradient(upstream gradient, x)` is the gradient of x, in its shape and dtype."""


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Callable[[Tensor], Tensor], gradient: Gradient | None) -> Tensor:
        ctx.gradient = gradient
        if gradient is not None:
            ctx.save_for_backward(x)
        # A tensor computed outside would leave here as a view, which must not be changed in place.
        return values(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        if ctx.gradient is None:
            return grads[0], None, None
        (x,) = ctx.saved_tensors
        return ctx.gradient(grads[0], x), None, None


def straight_through(x: Tensor, values: Callable[[Tensor], Tensor], gradient: Gradient | None = None) -> Tensor:
    """Return `values(x)`, whose backward is `gradient(upstream gradient, x)`.

    Args:
        x: floating point, any shape.
        values: the forward function; it returns a new tensor of x's shape and dtype, and records no gradient.
        gradient: the estimator; None passes the gradient on as it comes, and x is then not kept for backward.

    >>> x = torch.tensor([0.5, 3.0], requires_grad=True)
    >>> straight_through(x, torch.round, saturated_gradient).sum().backward()
    >>> x.grad
    tensor([1., 0.])

    Source: Bengio, Léonard and Courville (arXiv 1308.3432); BinaryNet (arXiv 1602.02830).
    """
    return _StraightThrough.apply(x, values, gradient)


def saturated_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """Return `grad · 1[|x| <= 1]`, by the derivative of Htanh(x) = clip(x, -1, 1).

    The bound is inclusive: a latent weight clipped to exactly ±1 must still be able to move.

    Source: BinaryNet (arXiv 1602.02830) eq. 4.
    """
    return grad * torch.le(x.detach().abs(), 1, out=torch.empty_like(x))


def tanh_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """Return `grad · (1 - tanh(x)²)`, by the derivative of tanh.

    Source: Kim and Smaragdis, Bitwise neural networks (arXiv 1601.06071) section 3.
    """
    return grad * (1 - x.tanh().square())
