"""A QuantOp's results beside float64 arithmetic on what the codes stand for."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from qbench.nn.im2col import pad_image
from qbench.nn.layer_shape import ConvWindow
from qbench.nn.quant_op.base import QuantOp
from quantizers import Quantized

TOLERANCE = 1e-5
"""The largest difference over Σ |x|·|w|: some hundred roundings of float32, of 2^-24 each."""


def check_op(op: QuantOp, weight: Quantized, x: Quantized, window: ConvWindow | None = None) -> None:
    """Compare an op with float64 arithmetic on dequantized values.

    |op - Σ x·w| must be at most 1e-5 · Σ |x|·|w|, for each output value; shape and dtype must be those of a QuantOp.

    Args:
        op: what is checked.
        weight: [N, K], or [N, C, kh, kw] with a window.
        x: [..., K], or [B, C, H, W] with a window.
        window: of a convolution; None for a linear layer.

    Raises:
        ValueError: another shape, dtype or value, with the op, the place and both values.
    """
    packed = op.pack(weight)
    found = op.linear(x, packed) if window is None else op.conv2d(x, packed, window)
    real_x, real_weight = x.dequantize().double(), weight.dequantize().double()
    pad = 0.0 if window is None else float(window.pad_value)
    expected = _product(real_x, real_weight, window, pad)
    bound = TOLERANCE * _product(real_x.abs(), real_weight.abs(), window, abs(pad))
    if found.shape != expected.shape or found.dtype != torch.float32:
        raise ValueError(
            f"op {op.name!r} gives {tuple(found.shape)} of {found.dtype}, expected {tuple(expected.shape)} of float32"
        )
    wrong = ~((found.double() - expected).abs() <= bound)  # so that NaN is wrong
    if bool(wrong.any()):
        place = tuple(int(index) for index in wrong.nonzero()[0])
        raise ValueError(
            f"op {op.name!r} gives {float(found[place]):.9g} at {place}, expected {float(expected[place]):.9g}; "
            f"{int(wrong.sum())} of {wrong.numel()} values differ"
        )


def _product(x: Tensor, weight: Tensor, window: ConvWindow | None, pad: float) -> Tensor:
    if window is None:
        return F.linear(x, weight)
    padded = pad_image(x, window, pad)
    return F.conv2d(padded, weight, None, window.stride, 0, window.dilation, window.groups)
