"""A binary layer's product in training: forward on packed bits, backward on real values."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

import cuda_ext
from qbench.nn.layer_shape import ConvWindow
from qbench.nn.quant_op import xnor

MINIMUM_MACS = 2**21
"""The multiply-adds of a product below which it is left to torch.

Packing pays from about half of them on an AVX-512 core (see `benchmarks/training_step.py --products`), and a small
product matters little. Not measured on a GPU.
"""


def packs(x: Tensor, weight: Tensor, outputs: int) -> bool:
    """Return whether a product of ±1 `x` and `weight` is faster packed: compiled kernels, and enough to do.

    Args:
        outputs: how many values of the product each weight takes part in: rows, or rows times positions.
    """
    backend = cuda_ext.backends().get(x.device.type)
    compiled = backend is not None and backend.selected != "reference"
    # Under autocast torch's product would be one of 16 bits.
    plain = x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled(x.device.type)
    return compiled and plain and outputs * weight.numel() >= MINIMUM_MACS


class _Linear(torch.autograd.Function):
    """`F.linear` of signs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return xnor.linear_sums(x, xnor.pack_weight(weight)).to(torch.float32)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight = ctx.needs_input_grad
        rows = grad.reshape(-1, grad.shape[-1])
        grad_x = grad @ weight if needs_x else None
        grad_weight = rows.T @ x.reshape(-1, x.shape[-1]) if needs_weight else None
        return grad_x, grad_weight


class _Conv2d(torch.autograd.Function):
    """`F.conv2d` of signs, in one group."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, window: ConvWindow) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.window = window
        sums = xnor.conv2d_sums(x, xnor.pack_weight(weight), window)
        return sums.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        window: ConvWindow = ctx.window
        needs = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], False]
        grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
            grad, x, weight, None, window.stride, window.padding, window.dilation, False, [0, 0], 1, needs
        )
        return grad_x, grad_weight, None


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """Return `x · weightᵀ` of values -1 and +1, bit for bit as `F.linear` gives it: integer sums below 2^24.

    Values other than ±1 are taken by their sign. The backward is F.linear's, and cannot be differentiated again.

    x: float32 [..., K]; weight: float32 [N, K]. Result: float32 [..., N].
    """
    if not packs(x, weight, x.numel() // weight.shape[1]):
        return F.linear(x, weight)
    return _Linear.apply(x, weight)


def conv2d(x: Tensor, weight: Tensor, window: ConvWindow) -> Tensor:
    """Return the cross-correlation of values -1 and +1 with zero padding, as `F.conv2d` gives it.

    Values other than ±1 are taken by their sign. The backward is F.conv2d's, and cannot be differentiated again.

    x: float32 [B, C, H, W]; weight: float32 [N, C, kh, kw]. Result: float32 [B, N, Ho, Wo].

    Raises:
        ValueError: a pad value other than 0: F.conv2d knows only zero padding.
    """
    if window.pad_value != 0:
        raise ValueError(f"pad_value must be 0 in training, got {window.pad_value}")
    if any(window.extra):
        return conv2d(x, weight, window.widened)[:, :, window.extra[0] :, window.extra[1] :]
    positions = x.shape[0] * x.shape[2] * x.shape[3] // (window.stride[0] * window.stride[1])
    if window.groups != 1 or not packs(x, weight, positions):
        return F.conv2d(x, weight, None, window.stride, window.padding, window.dilation, window.groups)
    return _Conv2d.apply(x, weight, window)
