"""The arm64 kernels, cross-compiled and run under qemu: the same program as in `test_sanitizers.py`, without torch.

Needs aarch64-linux-gnu-g++ and qemu-aarch64 (Debian: `g++-aarch64-linux-gnu`, `qemu-user`). Emulation tells whether the
results are right, not how fast they come.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cuda_ext import build

COMPILER = shutil.which("aarch64-linux-gnu-g++")
EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
NEWEST, OLDEST = "max", "cortex-a57"  # with the dot product of bytes and without

pytestmark = [
    pytest.mark.skipif(COMPILER is None, reason="no aarch64-linux-gnu-g++: nothing compiles for arm64"),
    pytest.mark.skipif(EMULATOR is None, reason="no qemu-aarch64: nothing runs for arm64"),
]


def compile_program(sources: Path, target: Path, *flags: str) -> Path:
    files = [str(s) for s in sorted((sources / "cpu").glob("*.cpp")) if s.name != "register.cpp"]
    program = str(Path(__file__).parent / "sanitized.cpp")
    command = [str(COMPILER), *build.CXX_FLAGS, *flags, f"-I{sources}", program, *files, "-o", str(target)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[:4000]
    return target


def emulate(program: Path, processor: str) -> subprocess.CompletedProcess[str]:
    libc = subprocess.run([str(COMPILER), "-print-file-name=libc.so.6"], capture_output=True, text=True, check=True)
    root = Path(libc.stdout.strip()).resolve().parents[1]
    # leaks: their search stops the process's threads, which qemu does not let it
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    command = [str(EMULATOR), "-cpu", processor, "-L", str(root), str(program)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_every_isa_is_exact_and_chosen_by_the_processor(tmp_path: Path) -> None:
    program = compile_program(build.SOURCES, tmp_path / "program", "-Wall", "-Wextra", "-Werror", "-static")
    for processor, isas in ((NEWEST, ["dotprod", "neon", "scalar"]), (OLDEST, ["neon", "scalar"])):
        result = emulate(program, processor)
        assert result.returncode == 0, result.stdout + result.stderr
        assert [line.split()[0] for line in result.stdout.splitlines()] == isas


def test_under_the_sanitizers(tmp_path: Path) -> None:
    flags = ("-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    result = emulate(compile_program(build.SOURCES, tmp_path / "program", *flags), NEWEST)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.split() == ["dotprod", "ok", "neon", "ok", "scalar", "ok"]


def test_the_extension_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sources with the flags of the build and torch's headers; an arm64 torch to link it with is not here."""
    monkeypatch.setenv("CXX", str(COMPILER))
    objects = build.compile_objects(build.cpu_toolchain(), tmp_path)
    assert "register.o" in [o.name for o in objects]
    for each in objects:
        assert each.read_bytes()[18:20] == b"\xb7\x00"  # e_machine of an ELF file: EM_AARCH64


# The program has to notice every one: (file, right, wrong).
MISTAKES = {
    "a byte for more counts than it holds": ("isa_neon.cpp", "kWordsPerByte = 31;", "kWordsPerByte = 32;"),
    "the last word left out": ("isa_neon.cpp", "w < end; w++", "w + 1 < end; w++"),
    "lanes in another order": (
        "isa_neon.cpp",
        "vuzp1q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high))",
        "vuzp1q_u8(vreinterpretq_u8_u16(high), vreinterpretq_u8_u16(low))",
    ),
    "infinity taken for NaN": ("isa_neon.cpp", "vcleq_u16(v, infinity)", "vcltq_u16(v, infinity)"),
    "greater in place of at least, int32": ("isa_neon.cpp", "vcgeq_s32", "vcgtq_s32"),
    "greater in place of at least, float32": ("isa_neon.cpp", "vcgeq_f32", "vcgtq_f32"),
    "a row's step in place of its half": ("isa_neon.cpp", "i < w + kWordsPerStep", "i < w + kWordsPerStep / 2"),
    "the first weight of a word left out": ("isa_neon.cpp", "j >= 32 * w; j--", "j > 32 * w; j--"),
    "what is in the result forgotten": ("isa_neon.cpp", "first ? sums[j] : to + sums[j]", "sums[j]"),
    "products of pairs added in 16 bits": (
        "isa_neon.cpp",
        "vpadalq_s16(acc[r][2 * c + 1], vmull_high_s8(x, b[c]))",
        "vaddw_s16(acc[r][2 * c + 1], vpadd_s16(vget_low_s16(vmull_high_s8(x, b[c])), "
        "vget_high_s16(vmull_high_s8(x, b[c]))))",
    ),
    "columns of another register, int8": ("isa_neon.cpp", "vmull_high_s8(x, b[c])", "vmull_high_s8(x, b[0])"),
    "columns of another register, dot product": ("isa_dotprod.cpp", "acc[r][c], x, b[c]", "acc[r][c], x, b[0]"),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_kernel_is_noticed(mistake: str, tmp_path: Path) -> None:
    name, right, wrong = MISTAKES[mistake]
    sources = tmp_path / "csrc"
    shutil.copytree(build.SOURCES, sources)
    source = (sources / "cpu" / name).read_text()
    assert right in source
    (sources / "cpu" / name).write_text(source.replace(right, wrong))
    result = emulate(compile_program(sources, tmp_path / "program", "-static", "-O1"), NEWEST)
    assert result.returncode == 1
    assert ": line " in result.stdout
