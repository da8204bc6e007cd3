"""What one layer costs under one QuantOp."""

from __future__ import annotations

from dataclasses import dataclass, field

from qbench.nn.operations import Operations


@dataclass(frozen=True)
class OpCost:
    """What one layer costs under one QuantOp, its weights' codes apart, for one inference of one example.

    Attributes:
        operations: of the product and of its epilogue.
        scale_bytes: stored scales and zero points, of the weights and of the input.
        other_bytes: stored biases, normalization and thresholds.
    """

    operations: Operations = field(default_factory=Operations)
    scale_bytes: int = 0
    other_bytes: int = 0

    def __add__(self, other: OpCost) -> OpCost:
        """Add count by count."""
        return OpCost(
            self.operations + other.operations,
            self.scale_bytes + other.scale_bytes,
            self.other_bytes + other.other_bytes,
        )
