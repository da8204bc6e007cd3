"""The CUDA library as nvcc makes it, on machines with or without a GPU."""

import ctypes
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cuda_ext import build
from cuda_ext.schemas import SCHEMAS

SOURCES = sorted((build.SOURCES / "cuda").glob("*.cu"))
# The first with binary tensor cores, and Hopper. sm_90 beside the builder's sm_90a: the kernels have to compile for it
# without its own instructions too.
FEW = ("80", "90", "90a")
OTHERS = sorted(set(build.CUDA_ARCHITECTURES) - set(FEW))
PTX = "-gencode=arch=compute_90,code=compute_90"

pytestmark = pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc: the CUDA kernels cannot be compiled")


def native(architectures: Sequence[str]) -> list[str]:
    return [f"-gencode=arch=compute_{a},code=sm_{a}" for a in architectures]


def built(sources: Sequence[Path], code: Sequence[str]) -> Path:
    """The sources as a library of the builder's, with the code of these flags; not made again where nothing changed."""
    tools = build.cuda_toolchain()
    flags = (*(flag for flag in tools.flags if not flag.startswith("-gencode")), *code)
    return build.build(replace(tools, sources=tuple(sources), flags=flags))


def test_every_architecture_is_asked_for_and_spills_are_errors() -> None:
    flags = build.cuda_toolchain().flags
    assert set(flags) >= {*native(["75", "80", "86", "87", "89", "90a"]), PTX}
    assert "-Xptxas=--warn-on-spills,--warning-as-error" in flags


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_it_compiles_for_the_other_architectures(source: Path) -> None:
    assert built([source], native(OTHERS)).stat().st_size > 0


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["100", "120"])
def test_the_ptx_compiles_for_devices_that_come_after(architecture: str) -> None:
    # What the driver does there when the library is loaded: a kernel that does not assemble would take all along.
    assert built(SOURCES, [f"-gencode=arch=compute_90,code=sm_{architecture}"]).stat().st_size > 0


@pytest.mark.slow
def test_the_library_links_and_registers_every_operation(tmp_path: Path) -> None:
    assert len(SOURCES) >= 5
    made = built(SOURCES, [*native(FEW), PTX])
    if torch.version.cuda is not None:
        pytest.skip("this torch has CUDA: tests/cuda_ext/test_cuda_device.py loads the real library")
    # The one function that a torch without CUDA lacks. It is only called by an operation, which needs a GPU.
    missing = "aoti_torch_get_current_cuda_stream"
    with pytest.raises(OSError, match=missing):
        ctypes.CDLL(str(made), mode=ctypes.RTLD_GLOBAL)
    stand_in = tmp_path / "stream.c"
    stand_in.write_text(f"#include <stdlib.h>\nvoid {missing}(void) {{ abort(); }}\n")
    subprocess.run(
        ["g++", "-x", "c++", "-shared", "-fPIC", "-o", tmp_path / "stream.so", "-x", "c", stand_in], check=True
    )
    program = f"""
import ctypes
ctypes.CDLL({str(tmp_path / "stream.so")!r}, mode=ctypes.RTLD_GLOBAL)
import torch, cuda_ext
# not _dispatch_has_kernel_for_dispatch_key: it counts the references, which serve every key
def has(name):
    return "\\nCUDA: registered at" in torch._C._dispatch_dump("cuda_ext::" + name)
names = {tuple(SCHEMAS)!r}
assert not any(map(has, names))
torch.ops.load_library({str(made)!r})
print([name for name in names if not has(name)])
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-4000:]
    assert result.stdout.strip() == "[]"
