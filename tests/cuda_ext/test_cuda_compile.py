"""The CUDA library as nvcc makes it, on machines with or without a GPU."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cuda_ext import build
from cuda_ext.schemas import SCHEMAS

SOURCES = sorted((build.SOURCES / "cuda").glob("*.cu"))
# sm_90 beside the builder's sm_90a: the kernels have to compile for Hopper without its own instructions too.
EXTRA = "-gencode=arch=compute_90,code=sm_90"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc: the CUDA kernels cannot be compiled"),
]


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every source compiled for every architecture, one compiler at a time."""
    tools = build.cuda_toolchain()
    folder = tmp_path_factory.mktemp("cuda")
    made = []
    for source in SOURCES:
        target = folder / f"{source.stem}.o"
        command = [tools.compiler, *tools.flags, EXTRA, "-c", str(source), "-o", str(target)]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, f"{source.name}: {(result.stdout + result.stderr)[:4000]}"
        made.append(target)
    return made


def test_every_architecture_is_asked_for_and_spills_are_errors() -> None:
    flags = " ".join((*build.cuda_toolchain().flags, EXTRA))
    for architecture in ("75", "80", "86", "89", "90", "90a"):
        assert f"code=sm_{architecture}" in flags
    assert "code=compute_" in flags
    assert "--warn-on-spills" in flags
    assert "--warning-as-error" in flags


def test_every_source_compiles(objects: list[Path]) -> None:
    assert [o.stem for o in objects] == [s.stem for s in SOURCES]
    assert len(objects) >= 5


def test_the_library_links_and_registers_every_operation(objects: list[Path], tmp_path: Path) -> None:
    if torch.version.cuda is not None:
        pytest.skip("this torch has CUDA: tests/cuda_ext/test_cuda_device.py loads the real library")
    tools = build.cuda_toolchain()
    # in a folder of its own: Python would take a cuda.so in the current one for the module `cuda`, which torch asks for
    library = tmp_path / "library" / "cuda.so"
    library.parent.mkdir()
    link = [tools.compiler, "-shared", *map(str, objects), "-o", str(library), *tools.link]
    result = subprocess.run(link, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[:4000]

    # The one function that a torch without CUDA lacks. It is only called by an operation, which needs a GPU.
    missing = "aoti_torch_get_current_cuda_stream"
    with pytest.raises(OSError, match=missing):
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
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
torch.ops.load_library({str(library)!r})
print([name for name in names if not has(name)])
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-4000:]
    assert result.stdout.strip() == "[]"
