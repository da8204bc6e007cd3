"""Prices of operations and memory accesses: a named, cited table."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from qbench.nn.operations import Operations

MEMORY_LEVELS = ("8 KB", "32 KB", "1 MB", "DRAM")
"""The memory levels, from the smallest to the largest."""


@dataclass(frozen=True)
class Bounds:
    """A low and a high estimate of one quantity; `mid` is their mean."""

    low: float
    high: float

    @property
    def mid(self) -> float:
        """The mean of the two."""
        return (self.low + self.high) / 2

    def __add__(self, other: Bounds) -> Bounds:
        """Add low to low and high to high."""
        return Bounds(self.low + other.low, self.high + other.high)

    def __mul__(self, count: float) -> Bounds:
        """Multiply both by `count`, which is not negative."""
        return Bounds(self.low * count, self.high * count)


@dataclass(frozen=True)
class EnergyTable:
    """Prices of operations and memory accesses, in picojoules.

    Attributes:
        name, source: what it is and where it was read.
        operations: the price of each kind of `Operations`.
        access: the price of one 64-bit access, by memory level.
        capacity: bytes that a memory level holds; None for DRAM (no bound).
    """

    name: str
    source: str
    operations: dict[str, Bounds]
    access: dict[str, Bounds]
    capacity: dict[str, int | None]

    def smallest_level(self, size: int) -> str:
        """Return the smallest memory level that holds `size` bytes."""
        return next(level for level in MEMORY_LEVELS if size <= (self.capacity[level] or math.inf))

    def arithmetic(self, operations: Operations) -> Bounds:
        """Return the energy of `operations`, pJ."""
        total = Bounds(0.0, 0.0)
        for kind, count in asdict(operations).items():
            total += self.operations[kind] * count
        return total

    def traffic(self, size: int, level: str) -> Bounds:
        """Return the energy of moving `size` bytes to or from `level` in 64-bit accesses, pJ."""
        return self.access[level] * -(-size // 8)


# Horowitz has no price for a binary operation. An XNOR of 32 bits is 32 gates, far below the other terms; the popcount
# of 32 bits is a tree of 31 full adders, about one 32-bit addition; its accumulation is another. Low: those two
# additions. High: the 1 + 4 + 1 clocks of xnor, popcount and accumulate in BinaryNet section 4, at a 32-bit addition
# each. This is the project's own estimate, not a number of the table.
_INT32_ADD = 0.1
HOROWITZ_45NM = EnergyTable(
    name="Horowitz 45 nm",
    source="M. Horowitz, Computing's energy problem, ISSCC 2014; XNOR-popcount price: this project's estimate",
    operations={
        "fp32_mul": Bounds(3.7, 3.7),
        "fp32_add": Bounds(0.9, 0.9),
        "int8_mul": Bounds(0.2, 0.2),
        "int32_mul": Bounds(3.1, 3.1),
        "int32_add": Bounds(_INT32_ADD, _INT32_ADD),
        "xnor_popcount_word": Bounds(2 * _INT32_ADD, 6 * _INT32_ADD),
    },
    access={
        "8 KB": Bounds(10, 10),
        "32 KB": Bounds(20, 20),
        "1 MB": Bounds(100, 100),
        "DRAM": Bounds(1300, 2600),
    },
    capacity={"8 KB": 8 * 1024, "32 KB": 32 * 1024, "1 MB": 1024 * 1024, "DRAM": None},
)
"""The prices of a 45 nm process; the cost of 32 binary products is this project's estimate (see above)."""
