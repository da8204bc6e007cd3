"""An estimated energy and the conventions it was computed under."""

from __future__ import annotations

from dataclasses import dataclass

from qbench.cost.prices import Bounds


@dataclass(frozen=True)
class Energy:
    """Estimated energy of one inference, in picojoules, and the conventions it was computed under."""

    arithmetic: Bounds
    weight_traffic: Bounds
    activation_traffic: Bounds
    weight_level: str
    activation_level: str
    table: str

    @property
    def total(self) -> Bounds:
        return self.arithmetic + self.weight_traffic + self.activation_traffic
