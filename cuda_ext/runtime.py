"""Choice of what runs the operations on this machine: loads the compiled libraries, selects an ISA, and reports both.

The CPU library holds kernels for several instruction-set architectures (ISAs): `scalar`; on x86-64 `avx2`, `avx512` and
`gfni`; on arm64 `neon` and `dotprod`. The best that the processor has is taken. The environment variable
`QBENCH_KERNELS` forces one of them, or `reference` (pure torch).
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
    """The state of one backend, as `qbench doctor` shows it.

    Attributes:
        name: `cpu` or `cuda`.
        available: whether its compiled kernels serve; if not, the pure-torch references do.
        selected: the ISA that runs (for CUDA the architecture, as `sm_90`), or `reference`.
        isas: the ISAs that this machine can run, best first.
        built: the ISAs that the library holds.
        library: the compiled library; None where the references serve.
        compiler: the version line of the compiler that built it; empty where the references serve.
        reason: why the kernels do not serve, or why an ISA is not the best one; empty where there is nothing to say.
    """

    name: str
    available: bool
    selected: str
    isas: tuple[str, ...] = ()
    built: tuple[str, ...] = ()
    library: Path | None = None
    compiler: str = ""
    reason: str = ""


_cpu_library: ctypes.CDLL | None = None
_cpu = Backend("cpu", False, REFERENCE, reason="not loaded")
_cuda = Backend("cuda", False, REFERENCE, reason="not loaded")
# The ISA selected on the CPU. Read at every call with prepacked weights; a plain string, so that torch.compile can
# guard on it.
cpu_isa = REFERENCE


def backends() -> dict[str, Backend]:
    """Report the backends by device type (`cpu`, `cuda`): what was built, what runs, and why not."""
    return {"cpu": _cpu, "cuda": _cuda}


def available_isas() -> tuple[str, ...]:
    """List the CPU's ISAs that `use_isa` takes, best first, and last `reference` (which `use_isa` does not take)."""
    return (*_cpu.isas, REFERENCE) if _cpu_library is not None else (REFERENCE,)


def load() -> None:
    """Build and load what this machine can run. Called once, when the package is imported.

    Raises ValueError where `QBENCH_KERNELS` names an ISA that is not possible here.
    """
    _load_cpu(os.environ.get(ENVIRONMENT, ""))
    _load_cuda()


def _load_cpu(forced: str) -> None:
    global _cpu_library, _cpu, cpu_isa
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
    for name in ("qbench_supported_isas", "qbench_built_isas", "qbench_selected_isa"):
        getattr(library, name).restype = ctypes.c_char_p
    library.qbench_select_isa.argtypes = [ctypes.c_char_p]
    for name in ("qbench_run_peak", "qbench_run_carry_save_peak"):
        getattr(library, name).argtypes = [ctypes.c_longlong]
        getattr(library, name).restype = ctypes.c_longlong
    supported = tuple(library.qbench_supported_isas().decode().split(","))
    built = tuple(library.qbench_built_isas().decode().split(","))
    if forced and library.qbench_select_isa(forced.encode()):
        raise ValueError(f"{ENVIRONMENT}: expected {', '.join((*supported, REFERENCE))}, got {forced!r}")
    cpu_isa = library.qbench_selected_isa().decode()
    lacking = [isa for isa in built if isa not in supported]
    reasons = [f"{ENVIRONMENT}={forced}"] if forced else []
    reasons += [f"this processor lacks {', '.join(lacking)}"] if lacking else []
    _cpu_library = library
    _cpu = Backend("cpu", True, cpu_isa, supported, built, path, tools.version, "; ".join(reasons))


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
def use_isa(name: str) -> Iterator[None]:
    """Run the CPU operations on one compiled ISA within the block; for tests and benchmarks, not thread-safe.

    Weights prepacked for another ISA are refused meanwhile. Raises ValueError for an ISA not possible here.
    """
    global cpu_isa
    if _cpu_library is None or name not in _cpu.isas:
        raise ValueError(f"name: expected {' or '.join(_cpu.isas) or 'no ISA: nothing is compiled'}, got {name!r}")
    before = cpu_isa
    _cpu_library.qbench_select_isa(name.encode())
    cpu_isa = name
    try:
        yield
    finally:
        _cpu_library.qbench_select_isa(before.encode())
        cpu_isa = before


def run_peak(steps: int, carry_save: bool = False) -> int:
    """Run the selected ISA's inner instructions `steps` times on registers alone, to be timed: the limit of one core.

    Those of the direct kernel, or with `carry_save` those of the carry-save popcount. Result: the binary operations
    done (a multiply-add is 2), 0 where the ISA has no such loop.
    """
    if _cpu_library is None:
        return 0
    run = _cpu_library.qbench_run_carry_save_peak if carry_save else _cpu_library.qbench_run_peak
    return int(run(steps))
