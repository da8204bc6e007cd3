"""What a training used: optimizer, learning rates and loss."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Used:
    """What a training used; None where that cannot be said.

    Attributes:
        optimizer: the class, `Adam`, with a recipe's options, `SGD(momentum=0.9)`; several joined by ` + `.
        learning_rate_start, learning_rate_end: at the first step, and after the last epoch.
        loss: what computed the loss: the recipe's, `cross_entropy(label_smoothing=0.1)`, or a method of the module's
            class: `LitNet.training_step`.
        unknown: why something above is None.
    """

    optimizer: str | None = None
    learning_rate_start: float | None = None
    learning_rate_end: float | None = None
    loss: str | None = None
    unknown: str | None = None

    def with_unknown(self, reason: str) -> Used:
        """Return these facts, and a further reason why something is not known."""
        return replace(self, unknown=reason if self.unknown is None else f"{self.unknown}; {reason}")
