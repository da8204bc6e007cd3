"""The data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qbench.data import cifar10, digits, mnist, svhn
from qbench.data.splits import Splits
from qbench.errors import lookup
from quantizers import Registry


@dataclass(frozen=True)
class Dataset:
    """A data set that can be loaded by name.

    Attributes:
        load: maps a split seed to the splits.
        input_shape: of one image, (C, H, W).
        classes: number of classes.
        description: for people.
    """

    load: Callable[[int], Splits]
    input_shape: tuple[int, ...]
    classes: int
    description: str


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
    ),
    "svhn": Dataset(
        svhn.load, _COLOUR, 10, "630,420 house-number digits of 32×32 pixels, extra set included, as 2x/255 - 1"
    ),
    "svhn-no-extra": Dataset(svhn.load_without_extra, _COLOUR, 10, "SVHN without its extra set: 99,289 digits"),
    "svhn-lcn": Dataset(
        svhn.load_lcn, _COLOUR, 10, "SVHN after global and local contrast normalization (BinaryConnect's input)"
    ),
}.items():
    DATASETS.add(_name, _dataset)
