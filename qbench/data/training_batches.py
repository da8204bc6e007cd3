"""What a training loop asks of batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from torch import Tensor

Batch = tuple[Tensor, Tensor]
"""Images, float32 [B, C, H, W], with their labels, int64 [B]."""


class TrainingBatches(Protocol):
    """Batches of a training, in another order each epoch.

    Lightning announces the epoch through `sampler.set_epoch`.
    """

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of epoch `epoch`, counted from 0."""
        ...

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        ...

    def __iter__(self) -> Iterator[Batch]:
        """Iterate (images, labels) of one epoch."""
        ...
