"""Number formats: what values a stored number can take and how many bits it occupies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class NumberFormat:
    """A set of representable numbers and the width of one stored code.

    An integer format holds every integer code in `minimum..maximum`; BINARY holds only the two ends. Real values
    are obtained from codes by a `Quantized`'s scale and zero point, which are not part of the format. Real 0 is a code
    of every integer format; of PIXEL8 it need not be one: a zero point halfway between two codes makes 2q/255 - 1.

    >>> INT8.levels, BINARY.levels, BINARY.packed_bytes(rows=10, row_length=9)
    (255, 2, 20)
    """

    name: str
    bits: int
    kind: Literal["float", "integer", "binary", "pixel"]
    minimum: float
    maximum: float

    @property
    def levels(self) -> int | None:
        """The number of distinct codes; None for floating point."""
        if self.kind == "float":
            return None
        return 2 if self.kind == "binary" else int(self.maximum - self.minimum) + 1

    def packed_bytes(self, rows: int, row_length: int) -> int:
        """Count the bytes of `rows` rows of `row_length` packed codes, each row padded to whole bytes."""
        return rows * -(-row_length * self.bits // 8)

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


def _check_bits(bits: int) -> None:
    if not isinstance(bits, int) or isinstance(bits, bool) or not 2 <= bits <= 8:
        raise ValueError(f"bits must be an integer from 2 to 8, got {bits!r}")


FLOAT32 = NumberFormat("float32", 32, "float", -3.4028234663852886e38, 3.4028234663852886e38)
FLOAT16 = NumberFormat("float16", 16, "float", -65504.0, 65504.0)
BINARY = NumberFormat("binary", 1, "binary", -1, 1)
TERNARY = NumberFormat("ternary", 2, "integer", -1, 1)  # three values; stored in two bits
INT8 = signed_integer(8)
UINT8 = unsigned_integer(8)
PIXEL8 = NumberFormat("pixel8", 8, "pixel", 0, 255)
