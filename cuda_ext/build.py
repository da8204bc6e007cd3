"""Compilation of the kernels: one shared library for the CPU, one for CUDA, by calling g++ and nvcc directly.

Both are written against LibTorch's stable ABI (`TORCH_TARGET_VERSION` 2.11), so a library serves every torch from 2.11
on, and a file compiles in seconds. torch's own `CUDAExtension` is not used: it refuses to build on a CPU-only torch,
where the .cu files can still be compiled and checked.

A library lies in `$QBENCH_CACHE/kernels` (default `~/.cache/qbench/kernels`) under a name that is a hash of everything
that went into it: sources, flags, compiler, torch. It is written under a lock and moved into place when complete, so
that several processes may start at once.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from filelock import FileLock

SOURCES = Path(__file__).parent / "csrc"

_DEFINES = ("-DTORCH_TARGET_VERSION=0x020b000000000000ULL",)
# No -march: each ISA's file names its target itself, and the processor is asked at run time.
# -Wno-uninitialized: g++ 12 takes AVX-512's undefined registers in its own headers for uninitialized variables.
CXX_FLAGS = (
    "-std=c++20",
    "-O3",
    "-fPIC",
    "-fvisibility-inlines-hidden",
    "-ffp-contract=off",
    "-Wno-uninitialized",
    "-Wno-maybe-uninitialized",
)
# Real architectures for what is common, and PTX of the last one for what comes after. 87, because Jetsons run no code
# of other minor numbers. Spills are errors: a kernel that spills is slower by more than it was tuned.
CUDA_ARCHITECTURES = ("75", "80", "86", "87", "89", "90a")
CUDA_LEAST = (7, 5)
_PTX = "-gencode=arch=compute_90,code=compute_90"
NVCC_FLAGS = (
    "-std=c++20",
    "-O3",
    "-Xcompiler=-fPIC",
    "-Xptxas=--warn-on-spills,--warning-as-error",
    "-DUSE_CUDA",
)


class BuildError(RuntimeError):
    """The kernels could not be built; the message says why."""


@dataclass(frozen=True)
class Toolchain:
    """A compiler with what it needs to make one of the libraries.

    Attributes:
        compiler: its path.
        version: the line by which it names its version.
        sources: the files to compile.
        flags: options of each compilation.
        link: options of the link.
        name: `cpu` or `cuda`, with which the library's file name begins.
    """

    compiler: str
    version: str
    sources: tuple[Path, ...]
    flags: tuple[str, ...]
    link: tuple[str, ...]
    name: str


def cache_directory() -> Path:
    """Return the directory of the libraries: `$QBENCH_CACHE/kernels`, by default `~/.cache/qbench/kernels`."""
    root = os.environ.get("QBENCH_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "qbench") / "kernels"


def torch_directory() -> Path:
    """Find where torch is installed, without importing it. Raises BuildError where it is not."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        raise BuildError("torch is not installed: its headers are needed")
    return Path(spec.submodule_search_locations[0])


@cache
def _version(compiler: str) -> str:
    try:
        result = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildError(f"{compiler} --version failed: {error}") from error
    lines = result.stdout.strip().splitlines()
    return lines[-1 if "nvcc" in Path(compiler).name else 0]


def _link_flags() -> tuple[str, ...]:
    directory = torch_directory() / "lib"
    libraries = ["torch", "torch_cpu", "c10"]
    libraries += [n for n in ("torch_cuda", "c10_cuda") if (directory / f"lib{n}.so").exists()]
    # --no-as-needed: nothing refers to libtorch by name, the registration happens when it is loaded
    return (f"-L{directory}", "-Wl,--no-as-needed", *(f"-l{n}" for n in libraries))


def _include_flags() -> tuple[str, ...]:
    return (f"-I{torch_directory() / 'include'}",)


def cpu_toolchain() -> Toolchain:
    """Find g++ ($CXX where set) for csrc/cpu. Raises BuildError where there is none, or where it is not a g++."""
    wanted = os.environ.get("CXX") or "g++"
    compiler = shutil.which(wanted)
    if compiler is None:
        raise BuildError(f"no C++ compiler: {wanted} is not on the PATH")
    return Toolchain(
        compiler,
        _version(compiler),
        tuple(sorted((SOURCES / "cpu").glob("*.cpp"))),
        (*CXX_FLAGS, *_DEFINES, *_include_flags()),
        _link_flags(),
        "cpu",
    )


def _code(architecture: str) -> str:
    return f"-gencode=arch=compute_{architecture},code=sm_{architecture}"


def cuda_code(capability: tuple[int, int]) -> str:
    """Choose the nvcc option whose code a device of this compute capability runs.

    Of the architectures of the same major number the last one that is not newer; from capability 10 on the PTX, which
    the driver compiles. Raises BuildError below 7.5.
    """
    major, minor = capability
    numbers = {architecture: divmod(int(architecture.rstrip("a")), 10) for architecture in CUDA_ARCHITECTURES}
    fitting = [a for a, (its_major, its_minor) in numbers.items() if its_major == major and its_minor <= minor]
    if capability < CUDA_LEAST:
        raise BuildError(f"no CUDA kernels for compute capability {major}.{minor}: expected at least 7.5")
    return _code(fitting[-1]) if fitting else _PTX


def cuda_toolchain(capabilities: Sequence[tuple[int, int]] | None = None) -> Toolchain:
    """Find nvcc for csrc/cuda. Raises BuildError where there is none, or no .cu file.

    With `capabilities` it compiles for devices of these alone, which takes a fraction of the time; without, for every
    architecture, and PTX for what comes after. Those below 7.5 are left out; BuildError where these are all.
    """
    if capabilities is None:
        codes = [*map(_code, CUDA_ARCHITECTURES), _PTX]
    else:
        served = [c for c in capabilities if c >= CUDA_LEAST]
        codes = sorted(set(map(cuda_code, served or capabilities)))  # where none is served, the error names one
    compiler = shutil.which("nvcc")
    if compiler is None:
        raise BuildError("no CUDA compiler: nvcc is not on the PATH")
    sources = tuple(sorted((SOURCES / "cuda").glob("*.cu")))
    if not sources:
        raise BuildError("no CUDA kernels: csrc/cuda holds no .cu file")
    link = tuple(f"-Xlinker={f[4:]}" if f.startswith("-Wl,") else f for f in _link_flags())
    flags = (*NVCC_FLAGS, *codes, *_DEFINES, *_include_flags())
    return Toolchain(compiler, _version(compiler), sources, flags, link, "cuda")


def library_path(tools: Toolchain) -> Path:
    """Return where the library of this toolchain and these sources lies, or will lie."""
    digest = hashlib.sha256()
    for part in (tools.compiler, tools.version, importlib.metadata.version("torch"), platform.machine()):
        digest.update(part.encode() + b"\0")
    digest.update("\0".join(tools.flags + tools.link).encode())
    headers = sorted(SOURCES.glob("**/*.h")) + sorted(SOURCES.glob("**/*.cuh"))
    for source in (*tools.sources, *headers):
        digest.update(str(source.relative_to(SOURCES)).encode() + b"\0" + source.read_bytes() + b"\0")
    return cache_directory() / f"{tools.name}-{digest.hexdigest()[:20]}.so"


def _run(command: Sequence[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        output = (result.stdout + result.stderr).strip().splitlines()
        errors = [line for line in output if "error" in line or "spill" in line][:8] or output[:8]
        raise BuildError(f"{' '.join(command)}\nfailed with {result.returncode}:\n" + "\n".join(errors))


def compile_objects(tools: Toolchain, directory: Path) -> list[Path]:
    """Compile each source to an object file, on all processors. Raises BuildError with the compiler's errors."""
    objects = [directory / f"{source.stem}.o" for source in tools.sources]
    commands = [
        (tools.compiler, *tools.flags, "-c", str(source), "-o", str(target))
        for source, target in zip(tools.sources, objects, strict=True)
    ]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(_run, commands))
    return objects


def build(tools: Toolchain) -> Path:
    """Return the library of this toolchain, compiled if it is not in the cache. Raises BuildError."""
    path = library_path(tools)
    if path.exists():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BuildError(f"the cache {path.parent} cannot be written: {error}") from error
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
                objects = compile_objects(tools, Path(scratch))
                target = Path(scratch) / path.name
                _run([tools.compiler, "-shared", *map(str, objects), "-o", str(target), *tools.link])
                os.replace(target, path)
    return path
