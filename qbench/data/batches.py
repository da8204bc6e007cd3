"""Batches of examples that are already tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from qbench.seeds import derive

EVALUATION_BATCH = 1000
"""Examples in a batch wherever a network is evaluated."""


class Indexed(Protocol):
    """Images and labels in memory, some of which can be taken: `Examples`."""

    @property
    def images(self) -> Tensor:
        """The images, float32 [N, C, H, W]."""
        ...

    @property
    def labels(self) -> Tensor:
        """The classes, int64 [N]."""
        ...

    def __len__(self) -> int:
        """Return N."""
        ...

    def __getitem__(self, index: Tensor | slice) -> Indexed:
        """Return those of these numbers."""
        ...


class Batches:
    """Batches of `Examples` as (images, labels), taken by indexing: no worker processes, no collation.

    With a seed, every epoch has an order of its own that depends on (seed, epoch) alone: a resumed training continues
    with the batches it would have seen. Lightning announces the epoch through `sampler.set_epoch`.

    A last batch of one example is left out of a shuffled epoch: BatchNorm cannot train on it.

    Args:
        examples: what to serve.
        batch_size: examples in a batch; the last batch may be smaller.
        seed: of the order; None keeps the examples' order.

    Raises:
        ValueError: a batch_size below 1.
    """

    def __init__(self, examples: Indexed, batch_size: int, seed: int | None = None) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.examples = examples
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    @property
    def sampler(self) -> Batches:
        """The object whose `set_epoch` Lightning calls, as it does with a DataLoader's sampler."""
        return self

    batch_sampler = sampler

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of epoch `epoch`, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        full, rest = divmod(len(self.examples), self.batch_size)
        return full + (rest > (0 if self.seed is None else 1))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = None
        if self.seed is not None:
            generator = torch.Generator().manual_seed(derive(self.seed, "order", self.epoch))
            order = torch.randperm(len(self.examples), generator=generator).to(self.examples.labels.device)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            chosen = slice(start, start + self.batch_size)
            batch = self.examples[chosen if order is None else order[chosen]]
            yield batch.images, batch.labels
