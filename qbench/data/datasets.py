"""The data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from qbench.data import cifar10, digits, mnist, svhn
from qbench.data.classification import check_labels, type_of
from qbench.data.folder import DataError
from qbench.data.splits import Examples, Splits
from qbench.errors import lookup
from quantizers import Registry


@dataclass(frozen=True)
class Dataset:
    """A data set that can be loaded by name.

    Attributes:
        load: maps a split seed to the `Splits`, or to a LightningDataModule, whose loaders read what does not fit into
            memory. The same seed gives the same content.
        input_shape: of one image, (C, H, W).
        classes: number of classes.
        description: for people.
        digest: what stands for the content in a trial's identity: a text (a version, a checksum), or a function of the
            split seed that returns one. None takes the digest of the arrays that `load` returns; for a
            LightningDataModule one has to be given.
        changes: of all images, in training and evaluation, in their order: float32 [N, C, H, W] to the same shape. The
            arrays' digest is that of changed images.
    """

    load: Callable[[int], Any]
    input_shape: tuple[int, ...]
    classes: int
    description: str
    digest: Callable[[int], str] | str | None = None
    changes: tuple[Callable[[Tensor], Tensor], ...] = ()

    def splits(self, split_seed: int, name: str = "") -> Splits:
        """Return what `load` gives as splits, checked: images of the shape, labels that are classes, no part empty.

        A LightningDataModule's batches are checked when they are read.

        Args:
            split_seed: of the split.
            name: the data set's, for messages.

        Raises:
            DataError: other images or labels.
        """
        found = self._unchanged(split_seed, f"data {name!r}" if name else "data")
        for change in self.changes:
            found = Splits(*(part.changed(change) for part in (found.train, found.validation, found.test)))
        return found

    def _unchanged(self, split_seed: int, where: str) -> Splits:
        found = self.load(split_seed)
        if hasattr(found, "train_dataloader"):
            from qbench.data.loaded import splits_of  # loads Lightning

            return splits_of(found, self.input_shape, self.classes, where)
        if not isinstance(found, Splits):
            raise DataError(f"{where}: load gives {type(found).__name__}, expected Splits or a LightningDataModule")
        for part, examples in vars(found).items():
            _check(examples, self, f"{where}: {part}")
        return found


def _check(examples: Any, dataset: Dataset, where: str) -> None:
    """Refuse examples that are not what the data set says of them."""
    if not isinstance(examples, Examples):
        raise DataError(f"{where} is {type(examples).__name__}, expected Examples")
    if len(examples) == 0:
        raise DataError(f"{where} has no examples")
    if examples.stored.shape[1:] != dataset.input_shape:
        shape = ", ".join(map(str, dataset.input_shape))
        raise DataError(f"{where}: images are {type_of(examples.stored)}, expected [N, {shape}], its input_shape")
    check_labels(examples.labels, dataset.classes, where)


DATASETS: Registry[Dataset] = Registry("data set", group="qbench.data")
"""The data sets by name; a plug-in adds its own under the entry-point group `qbench.data`."""


def get_dataset(name: str) -> Dataset:
    """Return the data set called `name`, or at a dotted path.

    Raises:
        ConfigError: no such data set, with the nearest one; a path to something else.
    """
    return lookup(DATASETS, name, Dataset, "data")


_COLOUR = (3, 32, 32)

for _name, _dataset in {
    "digits": Dataset(digits.load, (1, 8, 8), 10, "1,797 scans of 8×8 pixels, embedded (scikit-learn's digits)"),
    "mnist": Dataset(mnist.load, (1, 28, 28), 10, "70,000 handwritten digits of 28×28 pixels, as 2x/255 - 1"),
    "cifar10": Dataset(cifar10.load, _COLOUR, 10, "60,000 photographs of 32×32 pixels, as 2x/255 - 1"),
    "cifar10-whitened": Dataset(
        cifar10.load_whitened,
        _COLOUR,
        10,
        "CIFAR-10 after global contrast normalization and ZCA (BinaryConnect's input)",
        cifar10.digest,
    ),
    "svhn": Dataset(
        svhn.load, _COLOUR, 10, "630,420 house-number digits of 32×32 pixels, extra set included, as 2x/255 - 1"
    ),
    "svhn-no-extra": Dataset(svhn.load_without_extra, _COLOUR, 10, "SVHN without its extra set: 99,289 digits"),
    "svhn-lcn": Dataset(
        svhn.load_lcn,
        _COLOUR,
        10,
        "SVHN after global and local contrast normalization (BinaryConnect's input)",
        svhn.digest,
    ),
}.items():
    DATASETS.add(_name, _dataset)
