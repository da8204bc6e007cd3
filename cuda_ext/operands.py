"""Operands of the public operations: checks of what several operations take, and whether weights are arranged.

Every function raises TypeError or ValueError as `checks` does, naming the argument, what was expected and what came.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from cuda_ext import checks, runtime
from cuda_ext.prepacked import Prepacked
from cuda_ext.window import conv_output_size


def rows(name: str, value: object, dtypes: Sequence[torch.dtype], k: int) -> Tensor:
    """Check the left operand of a product: [M, k] of one of `dtypes`."""
    x = checks.tensor(name, value, dtypes, 2)
    if x.shape[1] != k:
        raise ValueError(f"{name}: expected shape [M, {k}] for k = {k}, got {checks.shape_of(x)}")
    return x


def matrix(name: str, weights: Tensor | Prepacked, k: int) -> tuple[Tensor, int, bool]:
    """Check binary weights of a matrix product: plain int32 [N, 16·⌈k/512⌉], or prepacked as a matrix.

    Result: the tensor, N, and whether the tensor is arranged.
    """
    if isinstance(weights, Prepacked):
        data, is_arranged = arranged(name, weights, "matrix", k, "k")
        return data, weights.shape[0], is_arranged
    bits = checks.packed(name, weights, k, 2)
    return bits, bits.shape[0], False


def arranged(name: str, weights: Prepacked, kind: str, k: int, k_name: str) -> tuple[Tensor, bool]:
    """Check that prepacked weights are of `kind`, for rows of `k`, and for the ISA that runs.

    Result: the tensor, and whether it is arranged (False: it is the plain one).
    """
    if weights.kind != kind:
        raise ValueError(f"{name}: expected weights prepacked as {kind}, got {weights.kind}")
    if weights.k != k:
        raise ValueError(f"{name}: expected weights prepacked for {k_name} = {k}, got {weights.k}")
    if not weights.plain and weights.isa != runtime.cpu_isa:
        raise ValueError(
            f"{name}: expected weights prepacked for the ISA {runtime.cpu_isa}, got {weights.isa}: prepack again"
        )
    return weights.data, not weights.plain


def convolution(x_bits: Tensor, w_bits: Tensor | Prepacked, channels: int) -> tuple[Tensor, Tensor, list[int], bool]:
    """Check the operands of a convolution: images int32 [B, H, W, 16·⌈channels/512⌉], and filters.

    The filters are int32 [O, kh, kw, 16·⌈channels/512⌉] or prepacked. Result: the images, the filters' tensor,
    [O, kh, kw], and whether the filters are arranged.
    """
    channels = checks.length("channels", channels)
    x_bits = checks.packed("x_bits", x_bits, channels, 4, "channels")
    if isinstance(w_bits, Prepacked):
        data, is_arranged = arranged("w_bits", w_bits, "filter", channels, "channels")
        return x_bits, data, list(w_bits.shape), is_arranged
    w_bits = checks.packed("w_bits", w_bits, channels, 4, "channels")
    not_empty("w_bits", w_bits)
    return x_bits, w_bits, list(w_bits.shape[:3]), False


def not_empty(name: str, filters: Tensor) -> None:
    """Check that there is at least one filter [O, kh, kw, ...], and that the kernel has at least one position."""
    for dimension, size in zip(("O", "kh", "kw"), filters.shape[:3], strict=True):
        if size < 1:
            raise ValueError(f"{name}: expected {dimension} of at least 1, got shape {checks.shape_of(filters)}")


def window(
    x_bits: Tensor,
    filters: Sequence[int],
    channels: int,
    stride: int | Sequence[int],
    padding: int | Sequence[int],
    dilation: int | Sequence[int],
    pad_value: int,
    per_pixel: int,
) -> tuple[list[int], list[int], list[int], int]:
    """Check a convolution's geometry, and that its result, `per_pixel` elements for each output pixel, can be indexed.

    `filters` is [O, kh, kw]. Result: stride, padding and dilation as (vertical, horizontal), and the pad value.
    """
    strides = checks.pair("stride", stride, 1)
    pads = checks.pair("padding", padding, 0)
    dilations = checks.pair("dilation", dilation, 1)
    if isinstance(pad_value, bool) or pad_value not in (-1, 0, 1):
        raise ValueError(f"pad_value: expected -1, 0 or +1, got {pad_value!r}")
    _, kernel_h, kernel_w = filters
    batch, height, width, _ = x_bits.shape
    checks.length("channels·kh·kw", channels * kernel_h * kernel_w)
    high, wide = conv_output_size((height, width), (kernel_h, kernel_w), strides, pads, dilations)
    if high < 1 or wide < 1:
        raise ValueError(
            f"x_bits: expected an image that the {kernel_h}×{kernel_w} kernel fits into, "
            f"got {height}×{width} with padding {pads} and dilation {dilations}"
        )
    checks.elements("result", batch * high * wide * per_pixel)
    return strides, pads, dilations, int(pad_value)


def thresholds(threshold: Tensor, direction: Tensor, dtype: torch.dtype, channels: int) -> tuple[Tensor, Tensor]:
    """Check a threshold of `dtype` and a direction of int8 for each of `channels`."""
    return _vector("threshold", threshold, dtype, channels), _vector("direction", direction, torch.int8, channels)


def scales(scale: Tensor, shift: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Check a float32 scale and shift for each of `channels`; ValueError for one that would need a gradient."""
    scale, shift = _vector("scale", scale, torch.float32, channels), _vector("shift", shift, torch.float32, channels)
    for name, value in (("scale", scale), ("shift", shift)):
        if value.requires_grad and torch.is_grad_enabled():
            raise ValueError(
                f"{name}: expected a tensor without gradient, as the operation has none, got requires_grad=True: "
                "detach it, or call under torch.no_grad()"
            )
    return scale, shift


def _vector(name: str, value: object, dtype: torch.dtype, channels: int) -> Tensor:
    vector = checks.tensor(name, value, (dtype,), 1)
    if vector.shape[0] != channels:
        raise ValueError(f"{name}: expected shape [{channels}], got {checks.shape_of(vector)}")
    return vector
