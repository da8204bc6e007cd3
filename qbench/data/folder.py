"""Where data sets lie on this machine, and where what is computed from them is kept."""

from __future__ import annotations

import os
from pathlib import Path

from qbench.errors import UserError


class DataError(UserError):
    """Data files that are missing, damaged, or not what they should be."""


def data_folder() -> Path:
    """`$QBENCH_DATA`, by default `~/.cache/qbench`: one folder for each data set."""
    chosen = os.environ.get("QBENCH_DATA")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "qbench"


def statistics_folder() -> Path:
    """`$QBENCH_CACHE/statistics`, by default `~/.cache/qbench/statistics`: the user's data may be read-only."""
    chosen = os.environ.get("QBENCH_CACHE")
    return (Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "qbench") / "statistics"
