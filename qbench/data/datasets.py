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
        load: the splits, for a split seed.
        input_shape: of one image.
        classes: how many.
        description: for people.
    """

    load: Callable[[int], Splits]
    input_shape: tuple[int, ...]
    classes: int
    description: str


DATASETS: Registry[Dataset] = Registry("data set", group="qbench.data")
DATASETS.add(
    "digits", Dataset(digits.load, (1, 8, 8), 10, "1,797 scans of 8×8 pixels, embedded (scikit-learn's digits)")
)
DATASETS.add("mnist", Dataset(mnist.load, (1, 28, 28), 10, "70,000 handwritten digits of 28×28 pixels, as 2x/255 - 1"))
DATASETS.add("cifar10", Dataset(cifar10.load, (3, 32, 32), 10, "60,000 photographs of 32×32 pixels, as 2x/255 - 1"))
DATASETS.add(
    "cifar10-whitened",
    Dataset(
        cifar10.load_whitened,
        (3, 32, 32),
        10,
        "CIFAR-10 after global contrast normalization and ZCA (BinaryConnect's input)",
    ),
)
DATASETS.add(
    "svhn",
    Dataset(
        svhn.load, (3, 32, 32), 10, "630,420 house-number digits of 32×32 pixels, extra set included, as 2x/255 - 1"
    ),
)
DATASETS.add(
    "svhn-no-extra", Dataset(svhn.load_without_extra, (3, 32, 32), 10, "SVHN without its extra set: 99,289 digits")
)
DATASETS.add(
    "svhn-lcn",
    Dataset(
        svhn.load_lcn, (3, 32, 32), 10, "SVHN after global and local contrast normalization (BinaryConnect's input)"
    ),
)


def get_dataset(name: str) -> Dataset:
    """The data set called `name`, or at a dotted path.

    Raises:
        ConfigError: no such data set, with the nearest one.
    """
    return lookup(DATASETS, name, Dataset, "data")
