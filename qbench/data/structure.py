"""What a data set must look like, and what is said about a copy that is not the published one."""

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
    """Raise a DataError unless `labels` [N] has `counts[c]` examples of every class c and no other class."""
    if len(labels) != sum(counts):
        raise DataError(f"{where}: {len(labels):,} examples, expected {sum(counts):,}")
    found = np.bincount(labels, minlength=len(counts))
    if len(found) > len(counts):
        raise DataError(f"{where}: label {labels.max()}, expected 0 to {len(counts) - 1}")
    for label, (here, expected) in enumerate(zip(found.tolist(), counts, strict=True)):
        if here != expected:
            raise DataError(f"{where}: {here:,} examples of class {label}, expected {expected:,}")


def say_once(message: str) -> None:
    """A warning, the first time in this process."""
    if message not in _said:
        _said.add(message)
        _log.warning(message)


def compare(title: str, files: Sequence[PublishedFile], folder: Path) -> None:
    """Warn, in one line and once, of files whose MD5 is not the published one: the user's own copy, used as it is."""
    other = [file.name for file in files if md5_of(folder / file.path) != file.md5]
    if other:
        say_once(f"{title}: {', '.join(other)} in {folder}: not the published MD5; used after a check of the structure")
