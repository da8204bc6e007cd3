"""Counts of arithmetic operations, by kind."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True)
class Operations:
    """Counts of arithmetic operations, by kind.

    Attributes:
        fp32_mul, fp32_add: 32-bit floating-point multiplications and additions.
        int8_mul, int32_mul: 8-bit and 32-bit integer multiplications.
        int32_add: 32-bit integer additions, comparisons and accumulations.
        xnor_popcount_word: XNOR (or AND), popcount and accumulation of one 32-bit word of binary values.
    """

    fp32_mul: int = 0
    fp32_add: int = 0
    int8_mul: int = 0
    int32_mul: int = 0
    int32_add: int = 0
    xnor_popcount_word: int = 0

    def __add__(self, other: Operations) -> Operations:
        """Add kind by kind."""
        return Operations(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def total(self) -> int:
        """All operations; an XNOR-popcount word counts as one."""
        return sum(asdict(self).values())
