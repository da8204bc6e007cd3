"""The public operations: each checks its arguments and calls the raw operation of the same name.

Common to all of them
---------------------
Packed rows are int32 [..., 16·⌈K/512⌉] as `layout` says, and carry zeros past K: `pack_signs`, `sign_threshold_pack`
and `from_bytes` write them so; the kernels rely on it and do not check it. Tensors that are not contiguous are copied.
An empty batch is allowed and gives an empty result; a row length of 0 is a ValueError. Every operation raises

* TypeError for an argument of another type or dtype,
* ValueError for another shape, a K that does not match, tensors on different devices, or a tensor (argument or
  result) of more than 2^31 - 1 elements,

naming the argument, what was expected and what came. Integer results are exact and equal on every backend.

Where weights are taken, a `Prepacked` of `prepack` (or `prepack_int8`) is taken as well, with the same result.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from cuda_ext import checks, operands, runtime
from cuda_ext.layout import packed_words
from cuda_ext.prepacked import Prepacked
from cuda_ext.reference import scale_shift
from cuda_ext.schemas import NAMESPACE

_ops = getattr(torch.ops, NAMESPACE)

# The largest K whose dot product cannot leave int32.
BITPLANE_MAX_K = (2**31 - 1) // 255
INT8_MAX_K = (2**31 - 1) // (128 * 128)


def pack_signs(x: Tensor) -> Tensor:
    """Pack signs: bit i of a row is 1 where `x_i >= 0`.

    So 0.0 and -0.0 give 1 (+1), and NaN gives 0 (-1), the comparison being false.

    x: float32, float64, float16 or bfloat16 [..., K]. Result: int32 [..., 16·⌈K/512⌉].
    Source: BinaryNet (arXiv 1602.02830), eq. 1.
    """
    x = checks.tensor("x", x, checks.FLOATS)
    checks.length("x.shape[-1]", x.shape[-1])
    checks.elements("result", x.numel() // x.shape[-1] * packed_words(x.shape[-1]))
    return _ops.pack_signs(x)


def pack_signs_stochastic(x: Tensor, seed: Tensor) -> Tensor:
    """Pack random signs: bit i is 1 with probability `σ(x_i) = clip((x_i + 1)/2, 0, 1)`.

    Element i (its index in x read row by row) uses number i of the Philox4x32-10 stream (`philox.random_words`):
    bit = `⌊u_i/2^8⌋ < 2^24·σ(float32(x_i))`. The same bits on every backend, for every number of threads. NaN gives 0.

    x: float [..., K]; seed: int64 [2], (seed, offset), on the device of x; another offset is another stream.
    Result: int32 [..., 16·⌈K/512⌉]. Source: BinaryNet, eqs. 2 and 3; Salmon et al., SC 2011.
    """
    x = checks.tensor("x", x, checks.FLOATS)
    seed = checks.tensor("seed", seed, (torch.int64,), 1)
    if seed.shape[0] != 2:
        raise ValueError(f"seed: expected shape [2] (seed, offset), got {checks.shape_of(seed)}")
    checks.length("x.shape[-1]", x.shape[-1])
    checks.elements("result", x.numel() // x.shape[-1] * packed_words(x.shape[-1]))
    checks.same_device(x=x, seed=seed)
    return _ops.pack_signs_stochastic(x, seed)


def unpack_signs(bits: Tensor, k: int) -> Tensor:
    """Unpack signs, the inverse of `pack_signs`: int32 [..., 16·⌈k/512⌉] -> float32 [..., k] of -1 and +1."""
    k = checks.length("k", k)
    bits = checks.packed("bits", bits, k)
    checks.elements("result", bits.numel() // bits.shape[-1] * k)
    return _ops.unpack_signs(bits, k)


def xnor_matmul(a_bits: Tensor, b_bits: Tensor | Prepacked, k: int) -> Tensor:
    """Multiply ±1 matrices: `out[m, n] = Σ_i a[m, i]·b[n, i] = k - 2·popcount(a[m] xor b[n])`.

    (Equal signs contribute +1, different ones -1: of k products, popcount(xor) are -1 and the rest are +1.)

    a_bits: int32 [M, 16·⌈k/512⌉]; b_bits: int32 [N, 16·⌈k/512⌉], the right operand transposed, as a Linear layer's
    weight lies. Result: int32 [M, N]. Source: BinaryNet, section 4.
    """
    k = checks.length("k", k)
    a_bits = checks.packed("a_bits", a_bits, k, 2)
    b, n, arranged = operands.matrix("b_bits", b_bits, k)
    checks.elements("result", a_bits.shape[0] * n)
    checks.same_device(a_bits=a_bits, b_bits=b)
    return _ops.xnor_matmul_prepacked(a_bits, b, n, k) if arranged else _ops.xnor_matmul(a_bits, b, k)


def xnor_matmul_scale(a_bits: Tensor, b_bits: Tensor | Prepacked, k: int, scale: Tensor, shift: Tensor) -> Tensor:
    """Multiply ±1 matrices, scale and shift: `float16(float32(xnor_matmul(a_bits, b_bits, k))·scale + shift)`.

    Product, sum and result are rounded to nearest, one by one. A scale per column and a folded BatchNorm or bias, in
    half the bytes of int32; on CUDA without the int32 matrix between, on the CPU as the product and torch's own
    arithmetic. Beyond float16's range a result is infinite.

    scale, shift: float32 [N]; ValueError for one that requires a gradient while gradients are recorded: there is none.
    Result: float16 [M, N].
    """
    k = checks.length("k", k)
    a_bits = checks.packed("a_bits", a_bits, k, 2)
    b, n, arranged = operands.matrix("b_bits", b_bits, k)
    scale, shift = operands.scales(scale, shift, n)
    checks.elements("result", a_bits.shape[0] * n)
    checks.same_device(a_bits=a_bits, b_bits=b, scale=scale, shift=shift)
    if arranged:
        return scale_shift(_ops.xnor_matmul_prepacked(a_bits, b, n, k), scale, shift)
    return _ops.xnor_matmul_scale(a_bits, b, k, scale, shift)


def xnor_matmul_sign(
    a_bits: Tensor, b_bits: Tensor | Prepacked, k: int, threshold: Tensor, direction: Tensor
) -> Tensor:
    """Multiply ±1 matrices, compare and pack: `sign_threshold_pack(xnor_matmul(...), threshold, direction)`.

    Compiled backends do not write the int32 matrix between.

    threshold: int32 [N]; direction: int8 [N]. Result: int32 [M, 16·⌈N/512⌉], the next layer's input.
    """
    k = checks.length("k", k)
    a_bits = checks.packed("a_bits", a_bits, k, 2)
    b, n, arranged = operands.matrix("b_bits", b_bits, k)
    checks.length("b_bits.shape[0]", n)
    threshold, direction = operands.thresholds(threshold, direction, torch.int32, n)
    checks.elements("result", a_bits.shape[0] * packed_words(n))
    checks.same_device(a_bits=a_bits, b_bits=b, threshold=threshold, direction=direction)
    if arranged:
        return _ops.xnor_matmul_sign_prepacked(a_bits, b, n, k, threshold, direction)
    return _ops.xnor_matmul_sign(a_bits, b, k, threshold, direction)


def xnor_conv2d(
    x_bits: Tensor,
    w_bits: Tensor | Prepacked,
    channels: int,
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    pad_value: int = 0,
) -> Tensor:
    """Convolve ±1 images with ±1 filters (cross-correlation, as torch's).

    `out[b, y, x, o] = Σ_{i, j, c} in[b, y·s + i·d - p, x·s + j·d - p, c]·w[o, i, j, c]`, where a position outside the
    image counts as `pad_value`: 0 (the tap adds nothing, as in float training), +1 or -1 (a constant bit).

    x_bits: int32 [B, H, W, 16·⌈channels/512⌉], NHWC with a pixel's channels packed;
    w_bits: int32 [O, kh, kw, 16·⌈channels/512⌉], that is `pack_signs(weight.permute(0, 2, 3, 1))` of torch's OIHW.
    stride and dilation (at least 1), padding (at least 0): an int or (vertical, horizontal). No groups.
    Result: int32 [B, Ho, Wo, O] with `Ho = ⌊(H + 2p - d·(kh - 1) - 1)/s⌋ + 1`. ValueError when that is below 1.
    """
    x_bits, w, filters, arranged = operands.convolution(x_bits, w_bits, channels)
    window = operands.window(x_bits, filters, channels, stride, padding, dilation, pad_value, filters[0])
    checks.same_device(x_bits=x_bits, w_bits=w)
    if arranged:
        return _ops.xnor_conv2d_prepacked(x_bits, w, filters, channels, *window)
    return _ops.xnor_conv2d(x_bits, w, channels, *window)


def xnor_conv2d_scale(
    x_bits: Tensor,
    w_bits: Tensor | Prepacked,
    channels: int,
    scale: Tensor,
    shift: Tensor,
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    pad_value: int = 0,
) -> Tensor:
    """Convolve ±1 images, scale and shift: `float16(float32(xnor_conv2d(...))·scale + shift)`, as `xnor_matmul_scale`.

    scale, shift: float32 [O], errors included. Result: float16 [B, Ho, Wo, O].
    """
    x_bits, w, filters, arranged = operands.convolution(x_bits, w_bits, channels)
    window = operands.window(x_bits, filters, channels, stride, padding, dilation, pad_value, filters[0])
    scale, shift = operands.scales(scale, shift, filters[0])
    checks.same_device(x_bits=x_bits, w_bits=w, scale=scale, shift=shift)
    if arranged:
        return scale_shift(_ops.xnor_conv2d_prepacked(x_bits, w, filters, channels, *window), scale, shift)
    return _ops.xnor_conv2d_scale(x_bits, w, channels, *window, scale, shift)


def xnor_conv2d_sign(
    x_bits: Tensor,
    w_bits: Tensor | Prepacked,
    channels: int,
    threshold: Tensor,
    direction: Tensor,
    *,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    pad_value: int = 0,
) -> Tensor:
    """Convolve ±1 images, compare and pack: `sign_threshold_pack(xnor_conv2d(...), threshold, direction)`.

    Compiled backends do not write the int32 image between.

    threshold: int32 [O]; direction: int8 [O]. Result: int32 [B, Ho, Wo, 16·⌈O/512⌉], the next layer's input.
    """
    x_bits, w, filters, arranged = operands.convolution(x_bits, w_bits, channels)
    words = packed_words(filters[0])
    window = operands.window(x_bits, filters, channels, stride, padding, dilation, pad_value, words)
    threshold, direction = operands.thresholds(threshold, direction, torch.int32, filters[0])
    checks.same_device(x_bits=x_bits, w_bits=w, threshold=threshold, direction=direction)
    if arranged:
        return _ops.xnor_conv2d_sign_prepacked(x_bits, w, filters, channels, *window, threshold, direction)
    return _ops.xnor_conv2d_sign(x_bits, w, channels, *window, threshold, direction)


def binary_weight_matmul(x: Tensor, w_bits: Tensor | Prepacked, k: int) -> Tensor:
    """Multiply real activations with ±1 weights: `out[m, n] = Σ_i ±x[m, i]`, additions and subtractions only.

    x: float32, float16 or bfloat16 [M, k]; w_bits: int32 [N, 16·⌈k/512⌉]. Result: float32 [M, N], accumulated in
    float32 (the order of the additions is the backend's, so results agree to rounding). Differentiable in x.
    Source: BinaryConnect, NIPS 2015, section 2.
    """
    k = checks.length("k", k)
    x = operands.rows("x", x, (torch.float32, torch.float16, torch.bfloat16), k)
    w, n, arranged = operands.matrix("w_bits", w_bits, k)
    checks.elements("result", x.shape[0] * n)
    checks.same_device(x=x, w_bits=w)
    return _ops.binary_weight_matmul_prepacked(x, w, n, k) if arranged else _ops.binary_weight_matmul(x, w, k)


def bitplane_matmul(x: Tensor, w_bits: Tensor | Prepacked, k: int) -> Tensor:
    """Multiply 8-bit inputs with ±1 weights: `out[m, n] = Σ_i x[m, i]·w[n, i]`, exactly.

    As planes: `Σ_{p=0..7} 2^p·(2·popcount(x^p & w) - popcount(x^p))`, with x^p the p-th bits of a row.

    x: uint8 [M, k]; w_bits: int32 [N, 16·⌈k/512⌉]; k at most 8,421,504 (the sum must fit int32).
    Result: int32 [M, N]. Source: BinaryNet, section 3.4 (first layer).
    """
    k = checks.length("k", k, BITPLANE_MAX_K)
    x = operands.rows("x", x, (torch.uint8,), k)
    w, n, arranged = operands.matrix("w_bits", w_bits, k)
    checks.elements("result", x.shape[0] * n)
    checks.same_device(x=x, w_bits=w)
    return _ops.bitplane_matmul_prepacked(x, w, n, k) if arranged else _ops.bitplane_matmul(x, w, k)


def int8_matmul(a: Tensor, b: Tensor | Prepacked) -> Tensor:
    """Multiply int8 matrices: `out[m, n] = Σ_i a[m, i]·b[n, i]` in int32, exactly, for every int8 value (also -128).

    a: int8 [M, K]; b: int8 [N, K], the right operand transposed; K at most 131,071 (the sum must fit int32).
    Result: int32 [M, N].
    """
    a = checks.tensor("a", a, (torch.int8,), 2)
    checks.length("a.shape[1]", a.shape[1], INT8_MAX_K)
    if isinstance(b, Prepacked):
        data, arranged = operands.arranged("b", b, "int8", a.shape[1], "K")
        checks.elements("result", a.shape[0] * b.shape[0])
        checks.same_device(a=a, b=data)
        return _ops.int8_matmul_prepacked(a, data, b.shape[0]) if arranged else _ops.int8_matmul(a, data)
    b = checks.tensor("b", b, (torch.int8,), 2)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"b: expected shape [N, {a.shape[1]}] as a, got {checks.shape_of(b)}")
    checks.elements("result", a.shape[0] * b.shape[0])
    checks.same_device(a=a, b=b)
    return _ops.int8_matmul(a, b)


def sign_threshold_pack(x: Tensor, threshold: Tensor, direction: Tensor) -> Tensor:
    """Compare with a threshold per channel, and pack: a folded BatchNorm and the sign after it.

    Bit c is 1 where

    * direction > 0: `x_c >= threshold_c`     (γ > 0)
    * direction < 0: `x_c <= threshold_c`     (γ < 0, the comparison flips)
    * direction = 0: `threshold_c >= 0`       (γ = 0, a constant: the threshold is β)

    A comparison with NaN is false, so it gives 0. `fold_batch_norm` and `integer_threshold` make the two vectors.

    x: int32 or float32 [..., C]; threshold: x.dtype [C]; direction: int8 [C]. Result: int32 [..., 16·⌈C/512⌉].
    """
    x = checks.tensor("x", x, (torch.int32, torch.float32))
    channels = checks.length("x.shape[-1]", x.shape[-1])
    threshold, direction = operands.thresholds(threshold, direction, x.dtype, channels)
    checks.elements("result", x.numel() // channels * packed_words(channels))
    checks.same_device(x=x, threshold=threshold, direction=direction)
    return _ops.sign_threshold_pack(x, threshold, direction)


def prepack(w_bits: Tensor, k: int) -> Prepacked:
    """Arrange binary weights once for the kernels of this machine; the operations then skip that work at every call.

    w_bits: int32 [N, 16·⌈k/512⌉] for the matrix products, or [O, kh, kw, 16·⌈k/512⌉], k the channels, for convolutions.
    Where the references or another device run, the result holds the plain tensor.
    """
    k = checks.length("k", k)
    w_bits = checks.packed("w_bits", w_bits, k)
    if w_bits.dim() not in (2, 4):
        raise ValueError(f"w_bits: expected 2 or 4 dimensions, got shape {checks.shape_of(w_bits)}")
    if w_bits.dim() == 4:
        operands.not_empty("w_bits", w_bits)
    kind = "matrix" if w_bits.dim() == 2 else "filter"
    isa = runtime.cpu_isa if w_bits.device.type == "cpu" else runtime.REFERENCE
    data = w_bits if isa == runtime.REFERENCE else _ops.prepack_signs(w_bits, k)
    return Prepacked(data, tuple(w_bits.shape[:-1]), k, kind, isa)


def prepack_int8(b: Tensor) -> Prepacked:
    """Arrange int8 weights once for `int8_matmul`, as `prepack` does binary ones. b: int8 [N, K]."""
    b = checks.tensor("b", b, (torch.int8,), 2)
    k = checks.length("b.shape[1]", b.shape[1], INT8_MAX_K)
    isa = runtime.cpu_isa if b.device.type == "cpu" else runtime.REFERENCE
    data = b if isa == runtime.REFERENCE else _ops.prepack_int8(b)
    return Prepacked(data, (b.shape[0],), k, "int8", isa)
