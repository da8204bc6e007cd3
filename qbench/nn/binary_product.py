"""A binary layer's product in training: forward on packed bits, backward on real values."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

import cuda_ext
from qbench.nn.layer_shape import ConvWindow
from quantizers import Quantizer, Sign, StochasticSign

# Multiply-adds of a product below which it is left to torch: packing pays from about half of it on an AVX-512 core (see
# benchmarks/training_step.py --products), and a small product matters little. Not measured on a GPU.
MINIMUM_MACS = 2**21


def gives_signs(quantizer: Quantizer | None) -> bool:
    """Whether its forward gives -1 and +1 alone. The exact class tells: a subclass may give other values."""
    return type(quantizer) in (Sign, StochasticSign)


def packs(x: Tensor, weight: Tensor, outputs: int) -> bool:
    """Whether a product of ±1 `x` and `weight` is faster packed: compiled kernels for the device, and enough to do.

    Args:
        outputs: values of the product a weight takes part in: rows, or rows times positions.
    """
    backend = cuda_ext.backends().get(x.device.type)
    compiled = backend is not None and backend.selected != "reference"
    # Under autocast torch's product would be one of 16 bits.
    plain = x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled(x.device.type)
    return compiled and plain and outputs * weight.numel() >= MINIMUM_MACS


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        k = weight.shape[1]
        product = cuda_ext.xnor_matmul(cuda_ext.pack_signs(x.reshape(-1, k)), cuda_ext.pack_signs(weight), k)
        return product.to(torch.float32).reshape(*x.shape[:-1], weight.shape[0])

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
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, window: ConvWindow) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.window = window
        product = cuda_ext.xnor_conv2d(
            cuda_ext.pack_signs(x.permute(0, 2, 3, 1)),
            cuda_ext.pack_signs(weight.permute(0, 2, 3, 1)),
            x.shape[1],
            stride=window.stride,
            padding=window.padding,
            dilation=window.dilation,
        )
        return product.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)

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
    """`x · weightᵀ` of values -1 and +1, as `F.linear` gives it, bit for bit: integer sums below 2^24.

    Backward is F.linear's, once.
    x: float32 [..., K]; weight: float32 [N, K]. Result: float32 [..., N]. Values other than ±1 are taken by their sign.
    """
    if not packs(x, weight, x.numel() // weight.shape[1]):
        return F.linear(x, weight)
    return _Linear.apply(x, weight)


def conv2d(x: Tensor, weight: Tensor, window: ConvWindow) -> Tensor:
    """The cross-correlation of values -1 and +1 with zero padding, as `F.conv2d` gives it.

    Backward is F.conv2d's, once.
    x: float32 [B, C, H, W]; weight: float32 [N, C, kh, kw]. Result: float32 [B, N, Ho, Wo]. Values other than ±1 are
    taken by their sign.

    Raises:
        ValueError: a pad value other than 0, which F.conv2d has not.
    """
    if window.pad_value != 0:
        raise ValueError(f"pad_value must be 0 in training, got {window.pad_value}")
    positions = x.shape[0] * x.shape[2] * x.shape[3] // (window.stride[0] * window.stride[1])
    if window.groups != 1 or not packs(x, weight, positions):
        return F.conv2d(x, weight, None, window.stride, window.padding, window.dilation, window.groups)
    return _Conv2d.apply(x, weight, window)
