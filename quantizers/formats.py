"""Number formats: what values a stored number can take and how many bits it occupies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal, get_args

import torch
from torch import Tensor

Kind = Literal["float", "integer", "odd", "binary", "table", "pixel"]
"""What the codes of a format are; see `NumberFormat`."""

SCALE_BITS = (32, 16, 8)
"""The widths of a stored scale: float32, float16, and 8 bits for a power of two (the exponent alone)."""


@dataclass(frozen=True)
class NumberFormat:
    """A set of representable numbers and the width of one stored code.

    An integer format holds every integer code in `minimum..maximum`; an odd one every second (-3, -1, 1, 3), so that it
    has no 0; BINARY only the two ends; a table the indices `0..len(values) - 1` of its values. Real values are obtained
    from codes by a `Quantized`'s scale and zero point, which are not part of the format. Real 0 is a code of every
    integer format; of PIXEL8 it need not be one: a zero point halfway between two codes makes 2q/255 - 1.

    >>> INT8.levels, BINARY.levels, BINARY.packed_bytes(rows=10, row_length=9)
    (255, 2, 20)

    Attributes:
        name: for people, and for files.
        bits: of one stored code.
        kind: what the codes are.
        minimum, maximum: the smallest and the largest code; of the float formats, and only there, of the values.
        values: of a table: the real numbers (times the scale) that codes 0, 1, ... stand for.
        group_size: so many consecutive weights of a row share one scale (the last group of a row may be smaller); None
            for one scale per tensor or per channel.
        scale_bits: of one stored scale: one of SCALE_BITS.

    Raises:
        ValueError: more codes than `bits` can tell apart; ends that are no codes; values without a table, or not
            finite.
    """

    name: str
    bits: int
    kind: Kind
    minimum: float
    maximum: float
    values: tuple[float, ...] = ()
    group_size: int | None = None
    scale_bits: int = 32

    def __post_init__(self) -> None:
        """Refuse a format that cannot be stored as it says."""
        fault = self._fault()
        if fault is not None:
            raise ValueError(f"number format {self.name!r}: {fault}")

    def _fault(self) -> str | None:
        """Return what is wrong with the format; None where nothing is."""
        if type(self.bits) is not int or self.bits < 1:
            return f"bits must be a whole number of 1 or more, got {self.bits!r}"
        if self.kind not in get_args(Kind):
            return f"kind must be one of {', '.join(get_args(Kind))}, got {self.kind!r}"
        if not self.minimum < self.maximum:
            return f"minimum {self.minimum:g} is not below maximum {self.maximum:g}"
        if self.group_size is not None and (type(self.group_size) is not int or self.group_size < 1):
            return f"group_size must be a whole number of 1 or more, got {self.group_size!r}"
        if self.scale_bits not in SCALE_BITS:
            return f"scale_bits must be one of {', '.join(map(str, SCALE_BITS))}, got {self.scale_bits!r}"
        return self._float_fault() if self.kind == "float" else self._code_fault()

    def _float_fault(self) -> str | None:
        if self.bits not in (16, 32):
            return f"a float format has 16 or 32 bits, got {self.bits}: give a smaller one as a table of its values"
        return "only a table has values" if self.values else None

    def _code_fault(self) -> str | None:
        if any(end != int(end) for end in (self.minimum, self.maximum)):
            return f"codes are whole numbers, got {self.minimum:g}..{self.maximum:g}"
        if (self.kind == "table") != bool(self.values):
            return "a table needs its values" if self.kind == "table" else "only a table has values"
        if self.kind == "table" and not (self.minimum == 0 and self.maximum == len(self.values) - 1):
            return f"the codes of {len(self.values)} values are 0..{len(self.values) - 1}"
        if any(not isfinite(value) for value in self.values) or len(set(self.values)) != len(self.values):
            return "the values of a table are finite and different"
        if self.kind == "odd" and not (self.minimum % 2 == 1 == self.maximum % 2):
            return f"the ends of odd codes are odd, got {self.minimum:g}..{self.maximum:g}"
        levels = self.levels
        assert levels is not None
        if levels > 2**self.bits:
            return f"{levels:,} codes do not fit {self.bits} bits, which tell {2**self.bits:,} apart"
        return None

    @property
    def dtype(self) -> torch.dtype:
        """Torch's dtype of the values of a float format: of those of 16 bits, the one that reaches `maximum`.

        Raises:
            ValueError: another kind of format.
        """
        if self.kind != "float":
            raise ValueError(f"{self.name} has codes, whose dtype is the quantizer's choice")
        if self.bits == 32:
            return torch.float32
        return torch.float16 if self.maximum <= torch.finfo(torch.float16).max else torch.bfloat16

    @property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest value in units of the scale, at zero point 0: of a table its values', else the
        ends of the codes.
        """
        return (min(self.values), max(self.values)) if self.values else (self.minimum, self.maximum)

    @property
    def levels(self) -> int | None:
        """The number of distinct codes; None for floating point."""
        if self.kind == "float":
            return None
        if self.kind == "binary":
            return 2
        span = int(self.maximum - self.minimum)
        return span // 2 + 1 if self.kind == "odd" else span + 1

    def holds(self, codes: Tensor) -> Tensor:
        """Return where `codes` are codes of the format: bool, their shape. NaN is none; in a float format it is.

        A float format holds the values that its dtype does (`dtype`), infinities among them.
        """
        wide = codes.double()
        if self.kind == "float":
            return (wide.to(self.dtype).double() == wide) | wide.isnan()
        found = (wide >= self.minimum) & (wide <= self.maximum) & (wide == wide.round())
        if self.kind == "binary":
            return found & ((wide == self.minimum) | (wide == self.maximum))
        return found & (wide.remainder(2) == 1) if self.kind == "odd" else found

    def packed_bytes(self, rows: int, row_length: int) -> int:
        """Count the bytes of `rows` rows of `row_length` packed codes, each row padded to whole bytes."""
        return rows * -(-row_length * self.bits // 8)

    def scale_bytes(self, scales: int) -> int:
        """Count the bytes of so many stored scales."""
        return scales * self.scale_bits // 8

    def group_scale_bytes(self, rows: int, row_length: int) -> int:
        """Count the bytes of the scales of the groups of `rows` rows of `row_length` codes; 0 of a format without."""
        if self.group_size is None:
            return 0
        return self.scale_bytes(rows * -(-row_length // self.group_size))

    def grouped(self, group_size: int, scale_bits: int = 16) -> NumberFormat:
        """Return the format with a scale for each `group_size` consecutive weights of a row: `int4_g32_s16`.

        Raises:
            ValueError: a size below 1, or another width of the scale.
        """
        name = f"{self.name}_g{group_size}_s{scale_bits}"
        return replace(self, name=name, group_size=group_size, scale_bits=scale_bits)

    def __str__(self) -> str:
        """Return the name."""
        return self.name


def signed_integer(bits: int, *, full_range: bool = False) -> NumberFormat:
    """Return `intB`: codes -(2^(B-1)-1) .. 2^(B-1)-1, symmetric; `full_range` adds -2^(B-1).

    Raises:
        ValueError: bits outside 2..8.
    """
    _check_bits(bits)
    top = 2 ** (bits - 1) - 1
    name = f"int{bits}_full" if full_range else f"int{bits}"
    return NumberFormat(name, bits, "integer", -top - int(full_range), top)


def unsigned_integer(bits: int) -> NumberFormat:
    """Return `uintB`: codes 0 .. 2^B-1.

    Raises:
        ValueError: bits outside 2..8.
    """
    _check_bits(bits)
    return NumberFormat(f"uint{bits}", bits, "integer", 0, 2**bits - 1)


def odd_integer(bits: int) -> NumberFormat:
    """Return `oddB`: the odd codes -(2^B-1), ..., -1, 1, ..., 2^B-1, symmetric, without a 0 (DoReFa's weights).

    Raises:
        ValueError: bits outside 2..8; one bit is BINARY.
    """
    _check_bits(bits)
    top = 2**bits - 1
    return NumberFormat(f"odd{bits}", bits, "odd", -top, top)


def value_table(name: str, values: Sequence[float]) -> NumberFormat:
    """Return a format whose codes are the indices of `values`, at ⌈log2(number of values)⌉ bits each.

    Raises:
        ValueError: fewer than 2 or more than 256 values, or values that are equal or not finite.
    """
    if not 2 <= len(values) <= 256:
        raise ValueError(f"number format {name!r}: a table has 2 to 256 values, got {len(values)}")
    top = len(values) - 1
    return NumberFormat(name, top.bit_length(), "table", 0, top, tuple(float(value) for value in values))


def _check_bits(bits: int) -> None:
    if not isinstance(bits, int) or isinstance(bits, bool) or not 2 <= bits <= 8:
        raise ValueError(f"bits must be an integer from 2 to 8, got {bits!r}")


FLOAT32 = NumberFormat("float32", 32, "float", -3.4028234663852886e38, 3.4028234663852886e38)
FLOAT16 = NumberFormat("float16", 16, "float", -65504.0, 65504.0)
BFLOAT16 = NumberFormat("bfloat16", 16, "float", -3.3895313892515355e38, 3.3895313892515355e38)
BINARY = NumberFormat("binary", 1, "binary", -1, 1)
TERNARY = NumberFormat("ternary", 2, "integer", -1, 1)  # three values; stored in two bits
INT8 = signed_integer(8)
UINT8 = unsigned_integer(8)
PIXEL8 = NumberFormat("pixel8", 8, "pixel", 0, 255)
