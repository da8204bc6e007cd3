"""An exact sum of floating-point numbers: the same whatever the order and the grouping."""

from __future__ import annotations

import torch
from torch import Tensor

# Every finite float64 is an integer multiple of 2^-1074, so sums in that unit are exact in Python's integers.
_UNIT_EXPONENT = 1074
_UNIT = 1 << _UNIT_EXPONENT
_BYTES = 280  # 1024 + 1074 bits of one float64, and room for 2^140 of them


class ExactSum:
    """`Σ x` over finite floats without rounding; addition is associative, which float addition is not.

    >>> total = ExactSum()
    >>> for x in (1e16, 1.0, -1e16): total.add(x)
    >>> total.mean(1)
    1.0
    """

    def __init__(self) -> None:
        self._units = 0

    def add(self, value: float) -> None:
        """Add a finite float."""
        numerator, denominator = value.as_integer_ratio()
        self._units += numerator * (_UNIT // denominator)

    def __add__(self, other: ExactSum) -> ExactSum:
        result = ExactSum()
        result._units = self._units + other._units
        return result

    def mean(self, count: int) -> float:
        """`Σ x / count`, rounded once to the nearest float64."""
        return self._units / (count << _UNIT_EXPONENT)

    def to_tensor(self) -> Tensor:
        """The sum as bytes, uint8 [280]."""
        return torch.frombuffer(bytearray(self._units.to_bytes(_BYTES, "little", signed=True)), dtype=torch.uint8)

    @classmethod
    def from_tensor(cls, tensor: Tensor) -> ExactSum:
        """The sum whose `to_tensor` is `tensor`."""
        result = cls()
        result._units = int.from_bytes(bytes(tensor.tolist()), "little", signed=True)
        return result
