"""What stands for a data set's content in a trial's identity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from qbench.data.datasets import Dataset
from qbench.data.folder import DataError
from qbench.data.splits import Examples, Splits
from qbench.errors import ConfigError

T = TypeVar("T")

_KNOWN: dict[tuple[str, int, int], tuple[Dataset, Any]] = {}
"""What was found, by (what, id of the data set, split seed); the data set is kept, so that the id stays its own."""


def forget_data() -> None:
    """Let digests and counts be found anew: files may have been changed since, in a process that plans again."""
    _KNOWN.clear()


def data_digest(dataset: Dataset, split_seed: int, name: str) -> str:
    """Return what stands for the content of a data set under a split seed; found once, until `forget_data`.

    It is the `digest` that the data set gives, else the digest of the arrays that it loads (`Splits.digest`), for which
    they are loaded, and dropped again.

    Args:
        dataset: the data set.
        split_seed: of its split.
        name: the data set's, for messages.

    Raises:
        ConfigError: data that loaders read, of a data set without a `digest`; a `digest` that is no text.
        DataError: files that are missing or damaged; images or labels that are refused (see `Dataset.splits`).
    """

    def find() -> str:
        return _found(dataset, split_seed, name)

    return _once("digest", dataset, split_seed, find)


def training_images(dataset: Dataset, split_seed: int, name: str) -> int | None:
    """Return how many training images a data set has, None where only iterating would tell; found once, as the digest.

    Arguments and errors: as `data_digest`.
    """

    def find() -> int | None:
        return _count(dataset.splits(split_seed, name))

    return _once("count", dataset, split_seed, find)


def _once(what: str, dataset: Dataset, split_seed: int, find: Callable[[], T]) -> T:
    key = (what, id(dataset), split_seed)
    if key not in _KNOWN:
        _KNOWN[key] = (dataset, find())
    found: T = _KNOWN[key][1]
    return found


def _count(splits: Splits) -> int | None:
    return len(splits.train) if splits.train.has_places else None


def _found(dataset: Dataset, split_seed: int, name: str) -> str:
    if dataset.digest is not None:
        found = dataset.digest(split_seed) if callable(dataset.digest) else dataset.digest
        if not isinstance(found, str) or not found:
            raise ConfigError(
                f"{name!r}: its digest is {found!r}, expected a text that changes with the content", "data"
            )
        return found
    splits = dataset.splits(split_seed, name)
    if not isinstance(splits.train, Examples):
        raise ConfigError(
            f"{name!r} is read by loaders, and nothing tells when its content changes: give Dataset(digest=...) a text "
            "(a version, a checksum of its files), or a function of the split seed that returns one",
            "data",
        )
    _once("count", dataset, split_seed, lambda: _count(splits))
    return splits.digest()


def check_unchanged(dataset: Dataset, splits: Splits, digest: str, name: str) -> None:
    """Refuse arrays that are not those by which the trial was planned.

    Args:
        dataset: the data set; one that gives a `digest` answers for it, and is not looked at.
        splits: what it has loaded for the trial.
        digest: the trial's `data_digest`.
        name: the data set's, for messages.

    Raises:
        DataError: other content: its files were changed since, or `load` draws at random.
    """
    if dataset.digest is None and splits.digest() != digest:
        raise DataError(
            f"data {name!r}: load gives other images or labels than when the trial was planned; if its files were "
            "changed, run again; if it draws at random, let the split seed decide what"
        )
