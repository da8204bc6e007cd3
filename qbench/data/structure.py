"""Checks of a data set's files: what makes them unusable, and what a user only is told."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qbench.data.download import PublishedFile, md5_of
from qbench.data.folder import DataError

_log = logging.getLogger(__name__)
_said: set[str] = set()


def check_counts(where: Path, labels: np.ndarray, counts: Sequence[int]) -> None:
    """Raise an error unless `labels` [N] has `counts[c]` examples of every class c, and no other class.

    Raises:
        DataError: other labels; the message begins with `where`.
    """
    if len(labels) != sum(counts):
        raise DataError(f"{where}: {len(labels):,} examples, expected {sum(counts):,}")
    found = np.bincount(labels, minlength=len(counts))
    if len(found) > len(counts):
        raise DataError(f"{where}: label {labels.max()}, expected 0 to {len(counts) - 1}")
    for label, (here, expected) in enumerate(zip(found.tolist(), counts, strict=True)):
        if here != expected:
            raise DataError(f"{where}: {here:,} examples of class {label}, expected {expected:,}")


def say_once(message: str) -> None:
    """Log a warning, once in this process."""
    if message not in _said:
        _said.add(message)
        _log.warning(message)


def warn_of_own_copies(title: str, files: Sequence[PublishedFile], folder: Path) -> None:
    """Log, in one line and once, which `files` below `folder` lack the published MD5; they are used as they are."""
    other = [file.name for file in files if md5_of(folder / file.path) != file.md5]
    if other:
        say_once(f"{title}: {', '.join(other)} in {folder}: not the published MD5; used after a check of the structure")
