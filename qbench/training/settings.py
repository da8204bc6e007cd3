"""The settings of one training: epochs, batches, device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from qbench.training.selection import Selection

OnEpoch = Callable[[int, int, Mapping[str, float]], None]
"""Called after each epoch with its number, counted from 1, the number of all epochs, and the epoch's metrics as the
history keeps them: `train/loss`, `val/accuracy`, what the module logged."""


@dataclass(frozen=True)
class TrainingSettings:
    """How long and where a module is trained; its recipe is the module's own.

    Attributes:
        epochs: how many.
        batch_size: training images per step.
        seed: of the order of batches.
        device: `cpu` or `cuda`.
        compile: forward and backward go through torch.compile.
        selection: which epoch's weights are kept.
    """

    epochs: int
    batch_size: int = 64
    seed: int = 0
    device: str = "cpu"
    compile: bool = False
    selection: Selection = field(default_factory=Selection)
