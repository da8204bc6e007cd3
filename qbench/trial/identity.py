"""The identities of trials: what a result depends on, as a hash."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import qbench
from qbench.trial.plug_in_sources import plug_in_sources

METRIC_SOURCES: dict[str, tuple[str, ...]] = {
    "qbench": (
        "nn/**/*",
        "schemes/**/*",
        "data/**/*",
        "cost/**/*",
        "training/**/*",
        "ptq/**/*",
        "trial/*",
        "deploy/*",
        "deploy/int8/**/*",
        "errors.py",
        "io.py",
        "seeds.py",
    ),
    "quantizers": ("**/*",),
    "cuda_ext": ("**/*",),
}
"""The sources that make a trial's metrics, as patterns below each package: an edit there runs trials again.

An edit anywhere else (an exporter, a report, the command line, a benchmark, a sweep's machinery, what is done with a
finished trial) changes no metric, and runs no trial again. `*` stands for the files of a folder, `**/*` for those of
all folders in it as well.
"""

_SOURCES = frozenset({".py", ".cpp", ".h", ".cu", ".cuh"})


def digest(*parts: Any) -> str:
    """Return 16 hexadecimal digits of SHA-256 over `parts` as canonical JSON."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.cache
def code_digest() -> str:
    """Return the identity of the code that makes metrics: the version, and the sources that METRIC_SOURCES names.

    The kernels' C++ and CUDA count. Read once a process: sources edited later are not the code that it runs.
    """
    hashed = hashlib.sha256(qbench.__version__.encode())
    for name, path in metric_sources():
        hashed.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return hashed.hexdigest()[:16]


def metric_sources() -> Iterator[tuple[str, Path]]:
    """Yield (`package/relative/path`, file) of each source that makes metrics, in a fixed order."""
    for package, patterns in METRIC_SOURCES.items():
        root = _folder(package)
        found = {path for pattern in patterns for path in root.glob(pattern) if path.suffix in _SOURCES}
        for path in sorted(found):
            yield f"{package}/{path.relative_to(root).as_posix()}", path


def _folder(package: str) -> Path:
    """Return where a package's sources are."""
    spec = find_spec(package)  # without importing it: two of the three load torch
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])


def source_digest(modules: set[str]) -> str:
    """Return the identity of plug-ins: see `plug_in_sources`."""
    return digest(plug_in_sources(modules))
