"""The data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qbench.data import digits
from qbench.data.splits import Splits
from qbench.errors import ConfigError
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


def source(name: str) -> Source:
    """The data set called `name`, or at a dotted path.

    Raises:
        ConfigError: no such data set, with the nearest one.
    """
    try:
        found = DATA.get(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise ConfigError(str(error), "data") from error
    if not isinstance(found, Source):
        raise ConfigError(f"{name!r} is {type(found).__name__}, expected a Source", "data")
    return found
