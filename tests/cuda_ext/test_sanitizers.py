"""The C++ kernels under the address and undefined-behaviour sanitizers, without torch or Python in the process."""

import subprocess
from pathlib import Path

import pytest

import cuda_ext
from cuda_ext import build

pytestmark = pytest.mark.skipif(not cuda_ext.backends()["cpu"].available, reason="no compiled kernels here")


def test_kernels_under_the_sanitizers(tmp_path: Path) -> None:
    compiler = build.cpu_toolchain().compiler
    flags = [f for f in build.CXX_FLAGS if f != "-O3"]
    # -O1: the tiles' loops must be unrolled for their sums to be registers
    sanitize = ["-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{build.SOURCES}"]
    sources = [s for s in (build.SOURCES / "cpu").glob("*.cpp") if s.name != "register.cpp"]
    program = tmp_path / "sanitized"
    command = [compiler, *flags, *sanitize, str(Path(__file__).parent / "sanitized.cpp"), *map(str, sources)]
    compiled = subprocess.run([*command, "-o", str(program)], capture_output=True, text=True)
    assert compiled.returncode == 0, compiled.stderr
    result = subprocess.run([program], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(cuda_ext.backends()["cpu"].paths)
