"""What runs the operations here: loads the compiled libraries, chooses the instruction path, and says so.

The environment variable `QBENCH_KERNELS` forces a path: `reference` (pure torch), or one of the compiled CPU paths
(`scalar`; on x86-64 `avx2`, `avx512`, `gfni`; on arm64 `neon`, `dotprod`). Without it the best that the processor
has is taken.
"""

import ctypes
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from cuda_ext import build

REFERENCE = "reference"
ENVIRONMENT = "QBENCH_KERNELS"


@dataclass(frozen=True)
class Backend:
    """The state of one backend, as `qbench doctor` shows it."""

    name: str
    """`cpu` or `cuda`"""
    available: bool
    """whether its compiled kernels serve; if not, the pure-torch references do"""
    selected: str
    """the path that runs: `reference`, or an instruction path"""
    paths: tuple[str, ...] = ()
    """the instruction paths that this machine can run, best first"""
    built: tuple[str, ...] = ()
    """the instruction paths that the library holds"""
    library: Path | None = None
    compiler: str = ""
    reason: str = ""
    """why the kernels do not serve, or why a path is not the best one; empty where there is nothing to say"""


_cpu_library: ctypes.CDLL | None = None
_cpu = Backend("cpu", False, REFERENCE, reason="not loaded")
_cuda = Backend("cuda", False, REFERENCE, reason="not loaded")
# read by the wrappers at every call with prepacked weights; a plain string, so that torch.compile can guard on it
cpu_path = REFERENCE


def backends() -> dict[str, Backend]:
    """The backends by device type (`cpu`, `cuda`): what was built, what runs, and why not."""
    return {"cpu": _cpu, "cuda": _cuda}


def available_paths() -> tuple[str, ...]:
    """The CPU paths that `use_path` takes, best first; the last is `reference`."""
    return (*_cpu.paths, REFERENCE) if _cpu_library is not None else (REFERENCE,)


def load() -> None:
    """Build and load what this machine can run. Called once, when the package is imported.

    Raises ValueError where `QBENCH_KERNELS` names a path that is not possible here.
    """
    _load_cpu(os.environ.get(ENVIRONMENT, ""))
    _load_cuda()


def _load_cpu(forced: str) -> None:
    global _cpu_library, _cpu, cpu_path
    if forced == REFERENCE:
        _cpu = Backend("cpu", False, REFERENCE, reason=f"{ENVIRONMENT}={REFERENCE}")
        return
    try:
        tools = build.cpu_toolchain()
        path = build.build(tools)
    except build.BuildError as error:
        if forced:
            raise ValueError(f"{ENVIRONMENT}: expected reference, got {forced!r}: {error}") from error
        _cpu = Backend("cpu", False, REFERENCE, reason=str(error))
        warnings.warn(
            f"bit-packed kernels run on their pure-torch references, which are exact and slow: {error}",
            stacklevel=2,
        )
        return
    torch.ops.load_library(path)
    library = ctypes.CDLL(str(path))
    for name in ("qbench_supported_paths", "qbench_built_paths", "qbench_selected_path"):
        getattr(library, name).restype = ctypes.c_char_p
    library.qbench_select_path.argtypes = [ctypes.c_char_p]
    for name in ("qbench_run_peak", "qbench_run_carry_peak"):
        getattr(library, name).argtypes = [ctypes.c_longlong]
        getattr(library, name).restype = ctypes.c_longlong
    supported = tuple(library.qbench_supported_paths().decode().split(","))
    built = tuple(library.qbench_built_paths().decode().split(","))
    if forced and library.qbench_select_path(forced.encode()):
        raise ValueError(f"{ENVIRONMENT}: expected {', '.join((*supported, REFERENCE))}, got {forced!r}")
    cpu_path = library.qbench_selected_path().decode()
    lacking = [p for p in built if p not in supported]
    reasons = [f"{ENVIRONMENT}={forced}"] if forced else []
    reasons += [f"this processor lacks {', '.join(lacking)}"] if lacking else []
    _cpu_library = library
    _cpu = Backend("cpu", True, cpu_path, supported, built, path, tools.version, "; ".join(reasons))


def _load_cuda() -> None:
    global _cuda
    if torch.version.cuda is None:
        reason = "this torch was built without CUDA"
    elif not torch.cuda.is_available():
        reason = "no CUDA device"
    else:
        capabilities = [torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())]
        try:
            tools = build.cuda_toolchain(capabilities)
            path = build.build(tools)
        except build.BuildError as error:
            reason = str(error)
        else:
            torch.ops.load_library(path)
            architectures = tuple(flag.rpartition("code=")[2] for flag in tools.flags if "-gencode" in flag)
            major, minor = next(c for c in capabilities if c >= build.CUDA_LEAST)
            # torch chooses by a device's type, not by the device: on these a call is CUDA's error, not the reference
            lacking = [f"cuda:{i} ({a}.{b})" for i, (a, b) in enumerate(capabilities) if (a, b) < build.CUDA_LEAST]
            reason = f"no kernels below compute capability 7.5, calls fail on {', '.join(lacking)}" if lacking else ""
            selected = f"sm_{major}{minor}"
            _cuda = Backend("cuda", True, selected, architectures, architectures, path, tools.version, reason)
            return
    _cuda = Backend("cuda", False, REFERENCE, reason=reason)


@contextmanager
def use_path(name: str) -> Iterator[None]:
    """Run the CPU operations on one compiled path within the block; for tests and benchmarks, not thread-safe.

    Weights prepacked on another path are refused meanwhile. Raises ValueError for a path not possible here.
    """
    global cpu_path
    if _cpu_library is None or name not in _cpu.paths:
        raise ValueError(f"name: expected {' or '.join(_cpu.paths) or 'no path: nothing is compiled'}, got {name!r}")
    before = cpu_path
    _cpu_library.qbench_select_path(name.encode())
    cpu_path = name
    try:
        yield
    finally:
        _cpu_library.qbench_select_path(before.encode())
        cpu_path = before


def run_peak(steps: int, carries: bool = False) -> int:
    """Run the selected path's inner instructions on registers alone; the binary operations done (a multiply-add is 2).

    Time it to know the limit of one core: for the direct kernel, or with `carries` for the product by carries. 0 where
    the path has no such loop.
    """
    if _cpu_library is None:
        return 0
    run = _cpu_library.qbench_run_carry_peak if carries else _cpu_library.qbench_run_peak
    return int(run(steps))
