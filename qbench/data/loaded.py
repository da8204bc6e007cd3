"""Data that is read batch by batch: a LightningDataModule with its loaders as splits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, Subset

from qbench.data.classification import check_labels, type_of
from qbench.data.folder import DataError
from qbench.data.loader_batches import CheckBatch, LoaderBatches
from qbench.data.splits import Examples, Splits
from qbench.errors import ConfigError

_TRANSFERS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")


@dataclass(frozen=True)
class LoadedExamples:
    """A part of a data set that a DataLoader reads: never all of it is in memory.

    Attributes:
        make_loader: returns the loader for training batches of a size; of evaluation it is given 0.
        check: of every batch.
        device: where batches go.
    """

    make_loader: Callable[[int], Any]
    check: CheckBatch
    device: torch.device | str = "cpu"

    @property
    def has_places(self) -> bool:
        """Whether the loader's data set has `__getitem__` and a length, and is not iterated alone."""
        data = getattr(self.make_loader(0), "dataset", None)
        iterated = isinstance(data, IterableDataset)  # has a __getitem__, which raises
        return hasattr(data, "__len__") and hasattr(data, "__getitem__") and not iterated

    def __len__(self) -> int:
        """Return how many examples the loader's data set has.

        Raises:
            ConfigError: it does not tell.
        """
        data: Any = getattr(self.make_loader(0), "dataset", None)
        if not hasattr(data, "__len__"):
            raise ConfigError("the data's loader does not tell how many examples it has: give its data set a __len__")
        return len(data)

    def __getitem__(self, places: Tensor) -> Examples:
        """Return the examples of these numbers, read by the loader's collation and workers."""
        loader = self.make_loader(0)
        chosen: DataLoader[Any] = DataLoader(
            Subset(loader.dataset, places.tolist()),
            batch_size=min(getattr(loader, "batch_size", None) or 64, len(places)),
            num_workers=getattr(loader, "num_workers", 0),
            collate_fn=getattr(loader, "collate_fn", None),
            worker_init_fn=getattr(loader, "worker_init_fn", None),
            multiprocessing_context=getattr(loader, "multiprocessing_context", None),
        )
        return _joined(LoaderBatches(chosen, self.check, device=self.device), len(places))

    def first(self, count: int) -> Examples:
        """Return the first `count` examples in the loader's order, or all where there are fewer."""
        return _joined(self.batches(), count)

    def batches(self) -> LoaderBatches:
        """Return the loader's batches, the same ones whenever they are iterated."""
        return LoaderBatches(self.make_loader(0), self.check, device=self.device)

    def training_batches(self, batch_size: int, seed: int) -> LoaderBatches:
        """Return the loader's batches; their order and augmentation depend on (seed, epoch).

        Raises:
            ConfigError: when they are iterated, batches of another size.
        """
        return LoaderBatches(self.make_loader(batch_size), self.check, seed, self.device, batch_size)

    def to(self, device: torch.device | str) -> LoadedExamples:
        """Return the part with its batches on `device`."""
        return replace(self, device=device)

    def changed(self, change: Callable[[Tensor], Tensor]) -> LoadedExamples:
        """Return the part with other images, changed batch by batch, on the CPU."""

        def check(batch: Any) -> tuple[Tensor, Tensor]:
            images, labels = self.check(batch)
            return change(images), labels

        return replace(self, check=check)


def _joined(batches: LoaderBatches, count: int) -> Examples:
    """Return the first `count` examples of some batches."""
    images: list[Tensor] = []
    labels: list[Tensor] = []
    missing = count
    for some, classes in batches:
        images.append(some[:missing])
        labels.append(classes[:missing])
        missing -= len(labels[-1])
        if missing <= 0:
            break
    if not images:
        raise DataError("the data's loader gives no batch")
    return Examples(torch.cat(images), torch.cat(labels))


def splits_of(
    module: pl.LightningDataModule, input_shape: tuple[int, ...], classes: int, where: str
) -> Splits[LoadedExamples]:
    """Return the splits that a LightningDataModule's loaders read, after its `prepare_data` and `setup`.

    Each loader is made once, the training's after the module's attribute `batch_size`, if it has one, was set to the
    trial's.

    Args:
        module: gives one DataLoader (or iterable) each for training, validation and test.
        input_shape, classes: what every batch is checked against.
        where: what messages begin with, `data 'mine'`.

    Raises:
        DataError: a module without one of the loaders, or with hooks that only a Trainer calls.
    """
    for name in _TRANSFERS:
        if is_overridden(name, module, pl.LightningDataModule):
            raise DataError(
                f"{where}: {type(module).__name__}.{name} would not be called in an evaluation; do it in the data set "
                "or in the DataLoader's collate_fn"
            )
    module.prepare_data()
    for stage in ("fit", "validate", "test"):
        module.setup(stage)

    def part(name: str) -> LoadedExamples:
        def check(batch: Any) -> tuple[Tensor, Tensor]:
            return _checked(batch, input_shape, classes, f"{where}: {name}")

        if not is_overridden(name, module, pl.LightningDataModule):
            raise DataError(f"{where}: {type(module).__name__} has no {name}")
        return LoadedExamples(_Made(module, name, where), check)

    return Splits(part("train_dataloader"), part("val_dataloader"), part("test_dataloader"))


class _Made:
    """Makes a module's loader once: its workers may persist."""

    def __init__(self, module: pl.LightningDataModule, name: str, where: str) -> None:
        self._module = module
        self._name = name
        self._where = where
        self._loader: Any = None

    def __call__(self, batch_size: int) -> Any:
        module = self._module
        if batch_size and hasattr(module, "batch_size") and module.batch_size != batch_size:
            module.batch_size = batch_size
            self._loader = None
        if self._loader is None:
            self._loader = getattr(module, self._name)()
            if isinstance(self._loader, list | tuple | dict):
                raise DataError(f"{self._where}: {self._name} gives several loaders; give one")
        return self._loader


def _checked(batch: Any, input_shape: tuple[int, ...], classes: int, where: str) -> tuple[Tensor, Tensor]:
    """Return a batch as (images, labels), or refuse it."""
    if not (isinstance(batch, list | tuple) and len(batch) == 2):
        raise DataError(f"{where} gives batches of {type(batch).__name__}; expected (images, labels)")
    images, labels = batch
    if not isinstance(images, Tensor) or images.dtype != torch.float32 or tuple(images.shape[1:]) != input_shape:
        found = type_of(images) if isinstance(images, Tensor) else f"a {type(images).__name__}"
        shape = ", ".join(map(str, input_shape))
        raise DataError(f"{where} gives images {found}; expected float32 [batch, {shape}]")
    check_labels(labels, classes, where)
    if len(images) != len(labels):
        raise DataError(f"{where} gives {len(images)} images with {len(labels)} labels")
    return images, labels
