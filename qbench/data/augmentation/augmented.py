"""Training examples whose batches are augmented."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qbench.data.augmentation.registry import Augmentation
from qbench.data.splits import Examples, Part
from qbench.data.training_batches import Batch, TrainingBatches
from qbench.seeds import derive


class AugmentedBatches:
    """Batches of a training, whose images some steps change.

    What the steps draw depends on (seed, epoch) alone, and on the batches before: a resumed training continues with the
    images it would have seen, and torch's global generator is left alone.

    Args:
        batches: of the training.
        steps: in their order.
        seed: of what they draw.
    """

    def __init__(self, batches: TrainingBatches, steps: Sequence[Augmentation], seed: int) -> None:
        self._batches = batches
        self._steps = tuple(steps)
        self._seed = seed
        self._epoch = 0

    @property
    def sampler(self) -> AugmentedBatches:
        """The object whose `set_epoch` Lightning calls."""
        return self

    batch_sampler = sampler

    def set_epoch(self, epoch: int) -> None:
        """Choose the order and the draws of epoch `epoch`, counted from 0."""
        self._epoch = epoch
        self._batches.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        generator = torch.Generator().manual_seed(derive(self._seed, "augment", self._epoch))
        for images, labels in self._batches:
            for step in self._steps:
                images = step(images, generator)
            yield images, labels


@dataclass(frozen=True)
class AugmentedPart:
    """A part of a data set, whose training batches are augmented; in everything else it is that part.

    Attributes:
        part: as it is.
        steps: of the augmentation.
    """

    part: Part
    steps: tuple[Augmentation, ...]

    @property
    def has_places(self) -> bool:
        """Whether its examples have numbers, by which some can be taken."""
        return self.part.has_places

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, places: Tensor) -> Examples:
        return self.part[places]

    def first(self, count: int) -> Examples:
        """Return the first `count` examples, or all where there are fewer, as they are."""
        return self.part.first(count)

    def batches(self) -> Iterable[Batch]:
        """Return its batches for evaluation, as they are."""
        return self.part.batches()

    def training_batches(self, batch_size: int, seed: int) -> AugmentedBatches:
        """Return its batches for training, augmented; order and draws depend on (seed, epoch) alone."""
        return AugmentedBatches(self.part.training_batches(batch_size, seed), self.steps, seed)

    def to(self, device: torch.device | str) -> AugmentedPart:
        """Return the part with its batches on `device`."""
        return replace(self, part=self.part.to(device))

    def changed(self, change: Callable[[Tensor], Tensor]) -> AugmentedPart:
        """Return the part with other images, which are changed before they are augmented."""
        return replace(self, part=self.part.changed(change))
