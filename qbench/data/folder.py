"""The folders of data sets, and of the statistics computed from them."""

from __future__ import annotations

import os
from pathlib import Path

from qbench.errors import UserError


class DataError(UserError):
    """Data files that are missing, damaged, or of another structure."""


def data_folder() -> Path:
    """Return the folder that holds the data sets: `$QBENCH_DATA`, by default `~/.cache/qbench`."""
    chosen = os.environ.get("QBENCH_DATA")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "qbench"


def statistics_folder() -> Path:
    """Return `$QBENCH_CACHE/statistics`, by default `~/.cache/qbench/statistics`.

    It is not in the data folder, which may be read-only.
    """
    chosen = os.environ.get("QBENCH_CACHE")
    return (Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "qbench") / "statistics"
