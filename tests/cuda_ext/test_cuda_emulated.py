"""The CUDA kernels' own source, compiled by g++ and run on the host: no GPU is needed, and none is replaced by it.

`cuda_emulator/emulator.h` says what is emulated and how adversarially. The programs compare with int64 loops, under
the address and undefined-behaviour sanitizers, with a block's threads taking turns in three different orders.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

EMULATOR = Path(__file__).parent / "cuda_emulator"
KERNELS = Path(__file__).parents[2] / "cuda_ext" / "csrc" / "cuda"
PROGRAMS = ("packing", "word_tile", "row_product", "binary_weight", "mma_tile", "wgmma_tile")
ORDERS = ("forward", "backward", "shuffled")
# -O1: -O2 costs more to compile than it saves in running
# -Wno-clobbered: g++ takes the fibers' swapcontext for a longjmp
FLAGS = (
    "-std=c++20",
    "-O1",
    "-fno-strict-aliasing",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unknown-pragmas",
    "-Wno-clobbered",
)
SANITIZERS = ("-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++: the kernels cannot be emulated")


def compile_program(program: str, kernels: Path, target: Path, *flags: str) -> Path:
    command = ["g++", *FLAGS, *flags, f"-I{EMULATOR}", f"-I{kernels}", str(EMULATOR / f"run_{program}.cpp")]
    result = subprocess.run([*command, "-o", str(target)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[:4000]
    return target


@pytest.mark.parametrize("program", PROGRAMS)
def test_kernels_on_the_host(program: str, tmp_path: Path) -> None:
    built = compile_program(program, KERNELS, tmp_path / program, *SANITIZERS)
    # leaks: a fiber's stack is dropped with what the kernel left on it
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0"}
    for order in ORDERS:
        result = subprocess.run([str(built), order], capture_output=True, text=True, env=environment)
        assert result.returncode == 0, f"{order}: {result.stderr[-4000:]}"
        assert result.stdout == "ok\n"


# One mistake each, of the kind that a kernel written without a GPU may hold: the programs have to notice every one.
MISTAKES = {
    "a tile read before its copy has landed": (
        "mma_tile",
        "mma_tile.cuh",
        "copy_async_wait<kMmaStages - 2>()",
        "copy_async_wait<kMmaStages - 1>()",
    ),
    "no barrier before a slot is used again": (
        "mma_tile",
        "mma_tile.cuh",
        "      __syncthreads();                    // everyone's has",
        "      // everyone's has",
    ),
    "B's chunks in the order of A's": ("mma_tile", "fragment.cuh", "return lane / 8 % 2;", "return lane / 16;"),
    "sums in other columns": ("mma_tile", "fragment.cuh", "return 2 * (lane % 4);", "return lane % 4;"),
    "a border row's missing taps half restored": (
        "mma_tile",
        "mma_tile.cuh",
        "2u * static_cast<uint32_t>(counts.b[col",
        "static_cast<uint32_t>(counts.b[col",
    ),
    "a swizzle that meets a bank twice": ("mma_tile", "fragment.cuh", "((row >> 1) & 3)", "(row & 3)"),
    "no barrier before the shared tiles are written": (
        "word_tile",
        "word_tile.cuh",
        "      __syncthreads();  // everyone is done with the step before\n",
        "",
    ),
    "padding outside the image not masked": (
        "word_tile",
        "sources.cuh",
        ">= 0 ? 0xffffffffu : 0u;",
        ">= -1 ? 0xffffffffu : 0u;",
    ),
    "a row's padding words not written": (
        "word_tile",
        "sinks.cuh",
        "return packed_words(columns) * 32;",
        "return columns;",
    ),
    "a multiply-add where the reference rounds twice": (
        "word_tile",
        "sinks.cuh",
        "__fadd_rn(__fmul_rn(__int2float_rn(value), scale[n]), shift[n])",
        "__builtin_fmaf(__int2float_rn(value), scale[n], shift[n])",
    ),
    "bytes of ±1 in another order": ("word_tile", "sources.cuh", "0x00204081u", "0x00810204u"),
    "columns of other lanes": ("row_product", "row_product.cuh", "(on >> (4 * i))", "(on >> i)"),
    "a slot given back while it is read": (
        "wgmma_tile",
        "wgmma_tile.cuh",
        "&empty[(slab - 1) % kWgmmaStages]",
        "&empty[slab % kWgmmaStages]",
    ),
    "a wait for another round": ("wgmma_tile", "wgmma_tile.cuh", "(round - 1) % 2", "round % 2"),
    "sums read before the products have settled": ("wgmma_tile", "wgmma_tile.cuh", "  wgmma_settle(sum[0]);\n", ""),
    "no fence before the first product": ("wgmma_tile", "wgmma_tile.cuh", "    wgmma_fence();\n", ""),
    "barriers that the copy engine does not see": ("wgmma_tile", "wgmma_tile.cuh", "    barriers_ready();\n", ""),
    "a descriptor that steps 64 bytes": ("wgmma_tile", "wgmma_tile.cuh", "b_tile + 2 * i", "b_tile + 4 * i"),
    "random numbers of another element": (
        "packing",
        "packing.cuh",
        "numbers[warp][skip + inside]",
        "numbers[warp][inside]",
    ),
    "no barrier around the random numbers": ("packing", "packing.cuh", "    __syncwarp();\n", ""),
    "weights of the other sign": ("binary_weight", "binary_weight.cuh", "(~word >> i)", "(word >> i)"),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_kernel_is_noticed(mistake: str, tmp_path: Path) -> None:
    program, name, right, wrong = MISTAKES[mistake]
    kernels = tmp_path / "cuda"
    shutil.copytree(KERNELS, kernels)
    source = (kernels / name).read_text()
    assert right in source
    (kernels / name).write_text(source.replace(right, wrong))
    target = compile_program(program, kernels, tmp_path / "program", "-Wno-unused")
    for order in ("forward", "shuffled"):
        result = subprocess.run([str(target), order], capture_output=True, text=True)
        if result.returncode != 0:
            assert "emulator:" in result.stderr
            return
    pytest.fail("no order noticed it")
