"""The data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qbench.data import cifar10, digits, mnist, svhn
from qbench.data.splits import Splits
from qbench.lookup import lookup
from quantizers import Registry


@dataclass(frozen=True)
class Source:
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


DATA: Registry[Source] = Registry("data set", group="qbench.data")
DATA.add("digits", Source(digits.load, (1, 8, 8), 10, "1,797 scans of 8×8 pixels, embedded (scikit-learn's digits)"))
DATA.add("mnist", Source(mnist.load, (1, 28, 28), 10, "70,000 handwritten digits of 28×28 pixels, as 2x/255 - 1"))
DATA.add("cifar10", Source(cifar10.load, (3, 32, 32), 10, "60,000 photographs of 32×32 pixels, as 2x/255 - 1"))
DATA.add(
    "cifar10-whitened",
    Source(
        cifar10.load_whitened,
        (3, 32, 32),
        10,
        "CIFAR-10 after global contrast normalization and ZCA (BinaryConnect's input)",
    ),
)
DATA.add(
    "svhn",
    Source(
        svhn.load, (3, 32, 32), 10, "630,420 house-number digits of 32×32 pixels, extra set included, as 2x/255 - 1"
    ),
)
DATA.add("svhn-no-extra", Source(svhn.load_without_extra, (3, 32, 32), 10, "SVHN without its extra set: 99,289 digits"))
DATA.add(
    "svhn-lcn",
    Source(
        svhn.load_lcn, (3, 32, 32), 10, "SVHN after global and local contrast normalization (BinaryConnect's input)"
    ),
)


def source(name: str) -> Source:
    """The data set called `name`, or at a dotted path.

    Raises:
        ConfigError: no such data set, with the nearest one.
    """
    return lookup(DATA, name, Source, "data")
