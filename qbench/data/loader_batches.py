"""The batches of somebody's DataLoader, checked, in an order that can be had again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from qbench.data.own_randomness import OwnRandomness
from qbench.errors import ConfigError
from qbench.seeds import derive

CheckBatch = Callable[[Any], tuple[Tensor, Tensor]]
"""Returns a batch as (images, labels), or refuses it."""


class LoaderBatches:
    """The batches of a DataLoader, as somebody else has configured it: its workers, its sampler, its collation.

    Before each pass the loader's own generators and the global ones are seeded from (seed, epoch), and `set_epoch` of
    whatever has it (the sampler, the batch sampler, the data set) is called. So a resumed training sees the batches
    that it would have seen. The one exception are `persistent_workers`, which keep their generators from epoch to
    epoch.

    Args:
        loader: a DataLoader, or another iterable of batches.
        check: is given every batch.
        seed: of order and augmentation; None seeds every pass alike, so that an evaluation sees the same each time.
        device: where the batches go.
        batch_size: of the trial, which the first of several batches must have; None takes what comes.
    """

    def __init__(
        self,
        loader: Any,
        check: CheckBatch,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        batch_size: int | None = None,
    ) -> None:
        self.loader = loader
        self.seed = seed
        self.epoch = 0
        self._check = check
        self._device = torch.device(device)
        self._batch_size = batch_size

    @property
    def sampler(self) -> LoaderBatches:
        """The object whose `set_epoch` Lightning calls."""
        return self

    batch_sampler = sampler

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of epoch `epoch`, counted from 0."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the loader's number of batches.

        Raises:
            ConfigError: a training's loader tells none.
            TypeError: that of an evaluation tells none, and needs none.
        """
        try:
            return len(self.loader)
        except TypeError:
            if self.seed is None:
                raise
            raise ConfigError(
                "the data's loader has no length, by which epochs are counted: give its IterableDataset a __len__",
                "data",
            ) from None

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        seed = derive(0, "evaluation") if self.seed is None else derive(self.seed, "order", self.epoch)
        for part in _parts(self.loader):
            if isinstance(generator := getattr(part, "generator", None), torch.Generator):
                generator.manual_seed(seed)
            if self.seed is not None and callable(announce := getattr(part, "set_epoch", None)):
                announce(self.epoch)
        randomness = OwnRandomness(seed)
        with randomness.inside():
            batches = iter(self.loader)
        number = 0
        while True:
            with randomness.inside():
                batch = next(batches, None)
            if batch is None:
                return
            images, labels = self._check(batch)
            number += 1
            self._check_size(len(labels), number)
            yield images.to(self._device, non_blocking=True), labels.to(self._device, non_blocking=True)

    def _check_size(self, size: int, number: int) -> None:
        """Refuse training batches of another size than the trial's, which costs and tables would name."""
        if self._batch_size is None:
            return
        if size == 1:
            raise ConfigError(
                "a training batch of the data's loader has one example, on which BatchNorm cannot train: give its "
                "DataLoader drop_last=True",
                "data",
            )
        if number == 1 and size != self._batch_size and len(self) > 1:
            raise ConfigError(
                f"the data's loader gives training batches of {size}: give the trial batch_size {size}, or let the "
                "LightningDataModule read its attribute batch_size, which a trial sets",
                "batch_size",
            )


def _parts(loader: Any) -> list[Any]:
    """Return the loader and what is inside of it, each once."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    inside = (
        loader,
        getattr(loader, "sampler", None),
        batch_sampler,
        getattr(batch_sampler, "sampler", None),
        getattr(loader, "dataset", None),
    )
    return list({id(part): part for part in inside if part is not None}.values())
