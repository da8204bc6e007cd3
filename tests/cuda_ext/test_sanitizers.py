"""The C++ kernels under the address and undefined-behaviour sanitizers, without torch or Python in the process."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

import cuda_ext
from cuda_ext import build

pytestmark = pytest.mark.skipif(not cuda_ext.backends()["cpu"].available, reason="no compiled kernels here")


@pytest.mark.slow
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
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(cuda_ext.backends()["cpu"].isas)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86-64 processors")
@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="no qemu-x86_64 (Debian: qemu-user)")
@pytest.mark.parametrize(("processor", "isas"), [("Haswell", "avx2,scalar"), ("Nehalem", "scalar")])
def test_on_an_older_processor_no_newer_instruction_runs(tmp_path: Path, processor: str, isas: str) -> None:
    """Naming the ISAs is what loading the library does everywhere; an instruction that is not there kills it."""
    main = tmp_path / "main.cpp"
    main.write_text(
        '#include <cstdio>\n#include "cpu/dispatch.h"\n'
        "int main() {\n"
        '  std::printf("%s %s %s\\n", qbench_built_isas(), qbench_supported_isas(), qbench_selected_isa());\n'
        '  return qbench_select_isa("gfni") == -1 && qbench_run_carry_save_peak(1) == 0 ? 0 : 1;\n'
        "}\n"
    )
    sources = [str(s) for s in (build.SOURCES / "cpu").glob("*.cpp") if s.name != "register.cpp"]
    command = [build.cpu_toolchain().compiler, *build.CXX_FLAGS, f"-I{build.SOURCES}", str(main), *sources]
    subprocess.run([*command, "-o", str(tmp_path / "main")], check=True)
    result = subprocess.run(["qemu-x86_64", "-cpu", processor, str(tmp_path / "main")], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.split() == ["gfni,avx512,avx2,scalar", isas, isas.split(",")[0]]
