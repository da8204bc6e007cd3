"""Files that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, whose file takes `path`'s place at the end: a reader sees the old file or the new one.

    The name does not survive a power cut that the contents do not. What fails leaves the old file and no other; a kill
    leaves `.<name>.tmp` beside it, which the next writing replaces. One writer at a time.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        _synchronize(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _synchronize(path.parent)


def _synchronize(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
