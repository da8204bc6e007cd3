"""A quantized tensor: codes and what turns them back into real values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from quantizers.formats import NumberFormat


@dataclass(frozen=True)
class Quantized:
    """A tensor as codes of a number format: `x = scale · (codes - zero_point)`, of a table `scale · values[codes]`.

    Both the fake-quantized and the packed execution of a layer read this one value, so they agree on what the
    numbers are.

    Attributes:
        codes: any shape; int8 for BINARY (-1, +1) and signed integers, uint8 for unsigned ones, pixels and tables,
            int8 for odd ones (int16 for those of 8 bits), floating point for the float formats (the values themselves).
        scale: float tensor that broadcasts against `codes`: one element (per tensor), or e.g. [N, 1, 1, 1]
            (per channel). Of a format with groups [N, G], one for each group of each row: `codes` are then [N, ...]
            with rows of K values, and G = ⌈K / group_size⌉; of a tensor of one dimension [1, G].
        zero_point: integer tensor that broadcasts against `codes`, or None for a symmetric format (zero point 0); of
            PIXEL8 a floating-point multiple of ½.
        format: the codes' number format.
    """

    codes: Tensor
    scale: Tensor
    zero_point: Tensor | None
    format: NumberFormat

    def dequantize(self) -> Tensor:
        """Return the real values `scale · (codes - zero_point)` in the scale's dtype, the shape of `codes`."""
        if self.format.kind == "float":
            return self.codes
        if self.format.kind == "table":
            table = torch.tensor(self.format.values, dtype=self.scale.dtype, device=self.scale.device)
            return table[self.codes.long()] * self.per_code(self.scale)
        codes = self.codes.to(self.scale.dtype)
        if self.zero_point is not None:
            codes = codes - self.per_code(self.zero_point.to(self.scale.dtype))
        return codes * self.per_code(self.scale)

    def per_code(self, values: Tensor) -> Tensor:
        """Return scales or zero points in a shape that broadcasts against `codes`; of groups one for each code."""
        size = self.format.group_size
        if size is None:
            return values
        codes = self.codes
        length = row_length(codes)
        return values.repeat_interleave(min(size, max(length, 1)), 1)[:, :length].reshape(codes.shape)

    @property
    def has_unit_scale(self) -> bool:
        """Whether the codes are the values: scale 1 everywhere and no zero point."""
        return self.zero_point is None and bool((self.scale == 1).all())


def storage_bytes(quantized: Quantized) -> int:
    """Count the bytes that store a weight: codes at their packed width, scales (4 bytes each, or the format's
    `scale_bits`), zero points (1 byte each).

    The first dimension counts rows (output channels); each row is padded to whole bytes. A scale that is 1
    everywhere is implied by the format and costs nothing, but those of groups, of which there are many, are stored
    whatever they are. The values of a table belong to the format, as the step between integers does, and cost nothing:
    one list serves every layer.

    >>> weight = torch.randn(64, 256)  # 4 bits, and 16 for each 32 of them: 4.5 bits a weight in place of 32
    >>> storage_bytes(make("group_integer", bits=4, group_size=32, scale_bits=16).quantize(weight)) / weight.numel()
    0.5625
    """
    codes, format = quantized.codes, quantized.format
    rows = codes.shape[0] if codes.dim() > 1 else 1
    total = format.packed_bytes(rows, row_length(codes))
    if format.kind == "float":
        return total
    if format.group_size is not None or not bool((quantized.scale == 1).all()):
        total += format.scale_bytes(quantized.scale.numel())
    if quantized.zero_point is not None:
        total += quantized.zero_point.numel()
    return total


def row_length(codes: Tensor) -> int:
    """Return how many codes a row has: the first dimension counts rows; a tensor of less than two is one row."""
    return codes.shape[1:].numel() if codes.dim() > 1 else codes.numel()


def unit_scale(x: Tensor) -> Tensor:
    """Return the scale 1 in `x`'s floating-point dtype and device (float32 for integer tensors)."""
    return torch.ones((), dtype=x.dtype if x.is_floating_point() else torch.float32, device=x.device)
