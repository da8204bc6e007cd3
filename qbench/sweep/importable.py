"""Folders in which dotted paths find a user's modules."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def make_importable(folder: Path) -> None:
    """Let dotted paths name modules in `folder`.

    It goes last on the path: a file beside a sweep that is called `random.py` must not break the library.
    """
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        importlib.invalidate_caches()
