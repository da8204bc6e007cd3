"""A BatchNorm as one forward pass met it."""

from __future__ import annotations

from dataclasses import dataclass

from qbench.nn.operations import Operations


@dataclass(frozen=True)
class TracedNorm:
    """A BatchNorm as one forward pass met it.

    Attributes:
        values: how many it normalizes, for one example.
        shifts: whether its multiplications are shifts (see `ShiftBatchNorm1d`).
        name: of the module.
        stored: whether its numbers are stored already, where it stands in another place.
    """

    values: int
    shifts: bool = False
    name: str = ""
    stored: bool = False

    @property
    def numbers(self) -> int:
        """float32 numbers per channel at inference: scale and shift; of a shift-based one the mean as well."""
        if self.stored:
            return 0
        return 3 if self.shifts else 2

    @property
    def operations(self) -> Operations:
        """Scale and shift. A shift-based one subtracts the mean, adds to the exponent, and adds the shift."""
        if self.shifts:
            return Operations(fp32_add=2 * self.values, int32_add=self.values)
        return Operations(fp32_mul=self.values, fp32_add=self.values)
