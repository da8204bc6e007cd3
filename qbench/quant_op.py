"""The arithmetic of one layer in one pair of number formats: packing, execution, cost.

A QuantOp consumes `Quantized` tensors, the same values that fake quantization rounds to, so both executions of a
layer agree on its numbers. `select_op` is the one place where an implementation is chosen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

import cuda_ext
from qbench.costs import Operations
from qbench.geometry import ConvWindow, Geometry
from quantizers import BINARY, PIXEL8, NumberFormat, Quantized

# The largest K whose int8 products' sum is exact in int32 on every backend.
_INT8_MAX_K = (2**31 - 1) // (128 * 128)


@dataclass(frozen=True)
class Packed:
    """A weight in the form its QuantOp computes with.

    Attributes:
        data: the codes: packed words, int8, or float32 values.
        scale: of the weight: one element or one per output channel, shape [] or [N].
        shape: of the weight as torch stores it, [N, K] or [N, C, kh, kw].
        zero_point: of int8 `data`, int32 [] or [N]; None for 0.
        row_sums: of the codes, int32: [N] of whole rows, or [N, kh, kw] of each tap's channels; None where no op needs
            them.
    """

    data: Tensor
    scale: Tensor
    shape: torch.Size
    zero_point: Tensor | None = None
    row_sums: Tensor | None = None


class QuantOp(ABC):
    """One layer's arithmetic for one pair of formats.

    `linear` and `conv2d` take a `Quantized` input and return real values, float32:
    scale_x · scale_w · (integer or real accumulator). A bias is the layer's business.
    """

    name: str
    packs: bool = True
    """False for the op that only replays float arithmetic: nothing then runs packed."""

    @abstractmethod
    def supports(self, weight: NumberFormat, activation: NumberFormat, geometry: Geometry) -> tuple[bool, str]:
        """Whether the op serves these formats and this geometry, and why not."""

    @abstractmethod
    def pack(self, weight: Quantized) -> Packed:
        """The weight, [N, K] or [N, C, kh, kw], in the op's own form."""

    @abstractmethod
    def linear(self, x: Quantized, packed: Packed) -> Tensor:
        """`x [..., K] · weightᵀ` -> float32 [..., N]."""

    @abstractmethod
    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        """Cross-correlation of `x [B, C, H, W]` -> float32 [B, N, Ho, Wo]."""

    @abstractmethod
    def cost(self, geometry: Geometry) -> Operations:
        """Operations of one inference of one example."""


class FloatOp(QuantOp):
    """Float arithmetic on dequantized values: serves every pair of formats, runs nothing packed."""

    name = "float"
    packs = False

    def supports(self, weight: NumberFormat, activation: NumberFormat, geometry: Geometry) -> tuple[bool, str]:
        return True, ""

    def pack(self, weight: Quantized) -> Packed:
        values = weight.dequantize()
        return Packed(values, values.new_ones(()), values.shape)

    def linear(self, x: Quantized, packed: Packed) -> Tensor:
        return F.linear(x.dequantize(), packed.data)

    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        values, padding = x.dequantize(), window.padding
        if window.pad_value:
            values, padding = _padded(values, padding, window.pad_value), (0, 0)
        return F.conv2d(values, packed.data, None, window.stride, padding, window.dilation, window.groups)

    def cost(self, geometry: Geometry) -> Operations:
        """One multiplication and one addition a MAC."""
        return Operations(fp32_mul=geometry.macs, fp32_add=geometry.macs)


class _Ungrouped(QuantOp):
    """What the packed ops share: no groups, and convolutions that `columns` turns into a matrix product."""

    weight_format: NumberFormat
    activation_kind: str
    max_k: int = 2**24  # sums of ±1 stay exact in float32, into which results are converted

    def supports(self, weight: NumberFormat, activation: NumberFormat, geometry: Geometry) -> tuple[bool, str]:
        if weight != self.weight_format:
            return False, f"needs {self.weight_format} weights, got {weight}"
        if activation.kind != self.activation_kind:
            return False, f"needs {self.activation_kind} activations, got {activation}"
        if geometry.groups != 1:
            return False, f"needs groups = 1, got {geometry.groups}"
        if geometry.dot_length > self.max_k:
            return False, f"needs K at most {self.max_k}, got {geometry.dot_length}"
        return True, ""

    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        self._check(window)
        rows, size = columns(x.codes, packed.shape[2:], window, window.pad_value)
        result = self.linear(Quantized(rows, x.scale, x.zero_point, x.format), packed)
        return result.reshape(x.codes.shape[0], *size, packed.shape[0]).permute(0, 3, 1, 2).contiguous()

    def _check(self, window: ConvWindow) -> None:
        if window.groups != 1:
            raise ValueError(f"{self.name}: groups must be 1, got {window.groups}")


class BinaryWeightOp(_Ungrouped):
    """±1 weights and real activations: additions and subtractions only (BinaryConnect, NIPS 2015)."""

    name = "binary-weight"
    weight_format = BINARY
    activation_kind = "float"

    def pack(self, weight: Quantized) -> Packed:
        rows = weight.codes.flatten(1)
        return Packed(cuda_ext.pack_signs(rows.float()), weight.scale, weight.codes.shape)

    def linear(self, x: Quantized, packed: Packed) -> Tensor:
        k = x.codes.shape[-1]
        result = cuda_ext.binary_weight_matmul(x.codes.reshape(-1, k), packed.data, k)
        return (result * packed.scale.reshape(-1)).reshape(*x.codes.shape[:-1], packed.shape[0])

    def cost(self, geometry: Geometry) -> Operations:
        """One addition (or subtraction) a MAC."""
        return Operations(fp32_add=geometry.macs)


class XnorOp(_Ungrouped):
    """±1 weights and ±1 activations: `a·b = K - 2·popcount(a xor b)` (BinaryNet, arXiv 1602.02830)."""

    name = "xnor"
    weight_format = BINARY
    activation_kind = "binary"

    def pack(self, weight: Quantized) -> Packed:
        codes = weight.codes.float()
        last = codes if codes.dim() == 2 else codes.permute(0, 2, 3, 1)
        return Packed(cuda_ext.pack_signs(last), weight.scale, weight.codes.shape)

    def linear(self, x: Quantized, packed: Packed) -> Tensor:
        k = x.codes.shape[-1]
        bits = cuda_ext.pack_signs(x.codes.reshape(-1, k).float())
        result = cuda_ext.xnor_matmul(bits, packed.data, k).float()
        return self._scaled(result, x, packed).reshape(*x.codes.shape[:-1], packed.shape[0])

    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        self._check(window)
        bits = cuda_ext.pack_signs(x.codes.permute(0, 2, 3, 1).float())
        result = cuda_ext.xnor_conv2d(
            bits,
            packed.data,
            packed.shape[1],
            stride=window.stride,
            padding=window.padding,
            dilation=window.dilation,
            pad_value=window.pad_value,
        ).float()
        return self._scaled(result, x, packed).permute(0, 3, 1, 2).contiguous()

    @staticmethod
    def _scaled(result: Tensor, x: Quantized, packed: Packed) -> Tensor:
        return result * packed.scale.reshape(-1) * x.scale

    def cost(self, geometry: Geometry) -> Operations:
        """⌈K/32⌉ XNOR-popcount words an output value."""
        return Operations(xnor_popcount_word=geometry.outputs * -(-geometry.dot_length // 32))


class BitplaneOp(_Ungrouped):
    """8-bit unsigned inputs and ±1 weights: each bit of the input is one binary plane (BinaryNet's first layer).

    With `x = S·(q - Z)`, Z a multiple of ½, the sums are `Σ (m·q - m·Z)·w = m·Σ q·w - m·Z·Σ w` in integers, m = 1 or 2.
    A padded real 0 adds to neither, though it may be no code (`2q/255 - 1`: Z = 127.5): outside the image q is 0, and
    the second sum is over the taps inside, one constant per channel and, at the borders, per position.

    Source: BinaryNet (arXiv 1602.02830) section 3.4.
    """

    name = "bitplane"
    weight_format = BINARY
    activation_kind = "pixel"
    max_k = (2**31 - 1) // 510  # |2·q - 2·Z| is at most 510

    def supports(self, weight: NumberFormat, activation: NumberFormat, geometry: Geometry) -> tuple[bool, str]:
        if activation.kind == "integer" and activation.minimum == 0:  # its zero point is a code: Z is whole
            activation = PIXEL8
        return super().supports(weight, activation, geometry)

    def pack(self, weight: Quantized) -> Packed:
        codes = weight.codes
        taps = codes.sum(1, dtype=torch.int32)
        return Packed(cuda_ext.pack_signs(codes.flatten(1).float()), weight.scale, codes.shape, row_sums=taps)

    def constant(self, packed: Packed, offset: int, size: Sequence[int], window: ConvWindow) -> Tensor:
        """`-offset·Σ w` over the taps inside an image of `size` (H, W); int32 [Ho, Wo, N], of a linear weight [N]."""
        return -offset * self._inside(packed, size, window)

    @staticmethod
    def _inside(packed: Packed, size: Sequence[int], window: ConvWindow) -> Tensor:
        taps = packed.row_sums
        assert taps is not None
        if taps.dim() == 1:
            return taps
        ones = torch.ones(1, 1, *size, dtype=torch.float64, device=taps.device)
        # In float64: a GPU may convolve float32 with 11 bits.
        sums = F.conv2d(ones, taps.unsqueeze(1).double(), None, window.stride, window.padding, window.dilation)
        return sums[0].permute(1, 2, 0).int().contiguous()

    @staticmethod
    def accumulate(rows: Tensor, weight: Tensor | cuda_ext.Prepacked, multiplier: int, constant: Tensor) -> Tensor:
        """`multiplier·Σ q·w + constant`, exact: uint8 rows [B·Ho·Wo, K] -> int32 [B, Ho, Wo, N] (linear: [B, N])."""
        products = cuda_ext.bitplane_matmul(rows, weight, rows.shape[-1]).view(-1, *constant.shape)
        return torch.add(constant, products, alpha=multiplier, out=products)

    def linear(self, x: Quantized, packed: Packed) -> Tensor:
        multiplier, offset = self._integers(x)
        rows = x.codes.reshape(-1, x.codes.shape[-1])
        sums = self.accumulate(rows, packed.data, multiplier, self.constant(packed, offset, (), ConvWindow()))
        scale = packed.scale.reshape(-1).double() * (x.scale.double() / multiplier)
        return (sums * scale).float().reshape(*x.codes.shape[:-1], packed.shape[0])

    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        self._check(window)
        multiplier, offset = self._integers(x)
        size = x.codes.shape[2:]
        rows, _ = columns(x.codes, packed.shape[2:], window)
        sums = self.accumulate(rows, packed.data, multiplier, self.constant(packed, offset, size, window))
        values = sums * (x.scale.double() / multiplier)
        if window.pad_value:
            assert packed.row_sums is not None
            values += window.pad_value * (packed.row_sums.sum((1, 2)) - self._inside(packed, size, window))
        return (values * packed.scale.reshape(-1).double()).float().permute(0, 3, 1, 2).contiguous()

    def _integers(self, x: Quantized) -> tuple[int, int]:
        """(m, m·Z): the least that are whole."""
        zero_point = 0.0 if x.zero_point is None else float(x.zero_point)
        multiplier = 1 if zero_point.is_integer() else 2
        if not (multiplier * zero_point).is_integer():
            raise ValueError(f"{self.name}: the zero point must be a multiple of 1/2, got {zero_point}")
        return multiplier, int(multiplier * zero_point)

    def cost(self, geometry: Geometry) -> Operations:
        """8·⌈K/32⌉ XNOR-popcount words an output value, a plane's weight being a shift of its count.

        As XnorOp counts no K - 2·popcount, this counts no constant: with planes of ±1, `2q - 255 = Σ 2^p·(±1)`.
        """
        return Operations(xnor_popcount_word=8 * geometry.outputs * -(-geometry.dot_length // 32))


class Int8Op(_Ungrouped):
    """int8 × int8 -> int32, then scaled: integers of 2 to 8 bits, signed or unsigned, with zero points.

    An unsigned code is read as `code - 128`, and its zero point likewise, which changes no value. Zero points are
    taken out of the products of whole rows:

        Σ (x - Z_x)(w - Z_w) = Σ x·w - Z_x·Σ w - Z_w·Σ x + K·Z_x·Z_w

    Source: Jacob et al. (CVPR 2018) section 2.3, eq. 7.
    """

    name = "int8"
    max_k = _INT8_MAX_K

    def supports(self, weight: NumberFormat, activation: NumberFormat, geometry: Geometry) -> tuple[bool, str]:
        for role, format in (("activations", activation), ("weights", weight)):
            if format.kind != "integer" or format.bits > 8:
                return False, f"needs integer {role} of at most 8 bits, got {format}"
        # Of unsigned formats, a code and its zero point differ by up to 255.
        largest = [max(f.maximum, -f.minimum) if f.minimum < 0 else f.maximum for f in (weight, activation)]
        longest = min(self.max_k, int((2**31 - 1) // (largest[0] * largest[1])))
        if geometry.groups != 1:
            return False, f"needs groups = 1, got {geometry.groups}"
        if geometry.dot_length > longest:
            return False, f"needs K at most {longest}, got {geometry.dot_length}"
        return True, ""

    def pack(self, weight: Quantized) -> Packed:
        codes, zero_point = as_int8(weight)
        rows = codes.flatten(1).contiguous()
        return Packed(rows, weight.scale, codes.shape, zero_point, rows.sum(1, dtype=torch.int32))

    def accumulate(self, x: Quantized, packed: Packed) -> Tensor:
        """`Σ (x - Z_x)(w - Z_w)` over the last dimension of `x [..., K]`; int32 [..., N], exact."""
        codes, zero_point = as_int8(x)
        k = codes.shape[-1]
        rows = codes.reshape(-1, k).contiguous()
        result = cuda_ext.int8_matmul(rows, packed.data)
        if zero_point is not None and packed.row_sums is not None:
            result = result - zero_point * packed.row_sums
        if packed.zero_point is not None:
            result = result - packed.zero_point * rows.sum(1, dtype=torch.int32)[:, None]
            if zero_point is not None:
                result = result + k * zero_point * packed.zero_point
        return result.reshape(*codes.shape[:-1], packed.shape[0])

    def accumulate_conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        """The sums of a convolution of `x [B, C, H, W]`; int32 [B, N, Ho, Wo], exact."""
        self._check(window)
        pad_code = 0 if x.zero_point is None else int(x.zero_point)
        if window.pad_value:
            pad_code += round(window.pad_value / float(x.scale))
        rows, size = columns(x.codes, packed.shape[2:], window, pad_code)
        result = self.accumulate(Quantized(rows, x.scale, x.zero_point, x.format), packed)
        return result.reshape(x.codes.shape[0], *size, packed.shape[0]).permute(0, 3, 1, 2).contiguous()

    def linear(self, x: Quantized, packed: Packed) -> Tensor:
        scaled = self.accumulate(x, packed).double() * packed.scale.reshape(-1).double() * x.scale.double()
        return scaled.float()

    def conv2d(self, x: Quantized, packed: Packed, window: ConvWindow) -> Tensor:
        sums = self.accumulate_conv2d(x, packed, window)
        return (sums.double() * packed.scale.reshape(-1, 1, 1).double() * x.scale.double()).float()

    def cost(self, geometry: Geometry) -> Operations:
        """One 8-bit multiplication and one 32-bit accumulation a MAC."""
        return Operations(int8_mul=geometry.macs, int32_add=geometry.macs)


def as_int8(x: Quantized) -> tuple[Tensor, Tensor | None]:
    """Codes and zero point (int32 [] or [N]; None for 0) of an integer format as int8: unsigned ones less 128."""
    zero_point = None if x.zero_point is None else x.zero_point.reshape(-1).squeeze().int()
    if x.codes.dtype == torch.int8:
        return x.codes, zero_point
    shifted = (x.codes.to(torch.int16) - 128).to(torch.int8)
    return shifted, (
        torch.zeros((), dtype=torch.int32, device=shifted.device) if zero_point is None else zero_point
    ) - 128


OPS: tuple[QuantOp, ...] = (XnorOp(), BitplaneOp(), BinaryWeightOp(), Int8Op(), FloatOp())
"""In order of preference; FloatOp, last, serves everything."""


def select_op(weight: NumberFormat, activation: NumberFormat, geometry: Geometry) -> QuantOp:
    """The first of OPS that serves these formats and this geometry."""
    for op in OPS:
        if op.supports(weight, activation, geometry)[0]:
            return op
    raise AssertionError("FloatOp serves everything")


def refusals(weight: NumberFormat, activation: NumberFormat, geometry: Geometry) -> dict[str, str]:
    """Why each op that does not serve does not, by op name."""
    verdicts = ((op.name, op.supports(weight, activation, geometry)) for op in OPS)
    return {name: reason for name, (served, reason) in verdicts if not served}


def columns(
    x: Tensor, kernel: Sequence[int], window: ConvWindow, pad_code: float = 0
) -> tuple[Tensor, tuple[int, int]]:
    """The patches of `x [B, C, H, W]` as rows [B·Ho·Wo, C·kh·kw] of x's dtype, in PyTorch's order, and (Ho, Wo).

    `pad_code` stands outside the image.
    """
    size = window.output_size(x.shape[2:], kernel)
    pixels = _padded(x, window.padding, pad_code).permute(0, 2, 3, 1)
    rows = x.new_empty(x.shape[0], *size, x.shape[1], *kernel)
    # Filled tap by tap: several times faster than unfold's strided copy.
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * window.dilation[0], j * window.dilation[1]
            rows[..., i, j] = pixels[
                :,
                top : top + (size[0] - 1) * window.stride[0] + 1 : window.stride[0],
                left : left + (size[1] - 1) * window.stride[1] + 1 : window.stride[1],
            ]
    return rows.view(-1, x.shape[1] * kernel[0] * kernel[1]), size


def _padded(x: Tensor, padding: tuple[int, int], value: float) -> Tensor:
    vertical, horizontal = padding
    return F.pad(x, (horizontal, horizontal, vertical, vertical), value=value)
