"""An estimated energy and the conventions it was computed under."""

from __future__ import annotations

from dataclasses import dataclass

from qbench.cost.prices import Bounds


@dataclass(frozen=True)
class Energy:
    """Estimated energy of one inference, in picojoules, and the conventions it was computed under.

    Attributes:
        arithmetic: of the operations.
        weight_traffic: of reading every stored byte once.
        activation_traffic: of reading each layer's input and writing its output once.
        weight_level, activation_level: the memory levels that traffic is priced at.
        table: name of the price table.
    """

    arithmetic: Bounds
    weight_traffic: Bounds
    activation_traffic: Bounds
    weight_level: str
    activation_level: str
    table: str

    @property
    def total(self) -> Bounds:
        """All three together."""
        return self.arithmetic + self.weight_traffic + self.activation_traffic
