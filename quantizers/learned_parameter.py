"""A parameter of a quantizer, as training should treat it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class LearnedParameter:
    """A parameter of a quantizer, as training should treat it.

    Attributes:
        parameter: what is trained.
        rate: its learning rate over that of the network's other parameters.
        weight_decay: of its own; None takes the optimizer's. The default is no decay: it would shrink a range or a
            threshold towards 0.
    """

    parameter: nn.Parameter
    rate: float = 1.0
    weight_decay: float | None = 0.0

    def __post_init__(self) -> None:
        """Refuse rates and decays below 0."""
        if not self.rate >= 0 or not (self.weight_decay is None or self.weight_decay >= 0):
            raise ValueError(f"rate and weight_decay must be 0 or more, got {self.rate} and {self.weight_decay}")
