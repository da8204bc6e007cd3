"""Check and time the CUDA kernels on a machine with an NVIDIA GPU: `python benchmarks/cuda_check.py [--json FILE]`.

Stages, each a process of its own with ten minutes: `build` compiles and loads the library; `tests` runs
tests/cuda_ext/test_cuda_device.py; `time` prints a table; `sanitize` runs every operation under compute-sanitizer
(memory, races) where it is installed. `--stage NAME` runs one of them, or `exercise`, what the sanitizer watches.
`--within SECONDS` bounds them all: a stage gets what is left, and the summary is still printed.

Method of the table: `qbench.bench.timing`'s rounds and figures on random operands. 1 multiply-add counts 2 operations.
Every contestant is timed twice, between two CUDA events. `call`: around calls from Python, so that a short one shows
what the processor needs to start it. `device`: around replays of a CUDA graph that holds REPLAYED calls, which is the
GPU's own time, gaps between kernels included. The rate is that of `device`, and so is the ratio, to the case's first
contestant, round by round. Caches are not emptied: an operand that fits into the L2 cache is read from there, torch's
likewise.
"""

import argparse
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("build", "tests", "time", "sanitize")
STAGE_SECONDS = 600
# The exit status of a stage that this machine has no tool for, and its line in the summary.
NOT_RUN, LACKING = 77, "not run: see above"
KERNELS = ("rows", "popc", "mma", "wgmma")
# What the kernel for few rows takes.
FEW = 8
ROUNDS = 9
REPLAYED = 10

# Names of qbench.bench.products.MATMULS, which has the sizes.
PRODUCTS = ("square-8192", "square-4096", "tall-1024", "mlp-first-100", "mlp-hidden-100", "mlp-hidden-1", "mlp-last-1")
# batch, channels, height and width, filters: 3×3, zero padding, BinaryNet's CIFAR-10 network
CONVOLUTIONS = {
    "conv-128-32": (50, 128, 32, 128),
    "conv-256-16": (50, 256, 16, 256),
    "conv-512-8": (50, 512, 8, 512),
    "conv-512-8-single": (1, 512, 8, 512),
}


@contextmanager
def xnor_kernel(name: str) -> Iterator[None]:
    """Force a kernel of the binary product; the library reads the variable at every call."""
    before = os.environ.get("CUDA_EXT_XNOR_KERNEL")
    os.environ["CUDA_EXT_XNOR_KERNEL"] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ["CUDA_EXT_XNOR_KERNEL"]
        else:
            os.environ["CUDA_EXT_XNOR_KERNEL"] = before


def runnable(rows: int = 1) -> tuple[str, ...]:
    """List the kernels that this GPU has instructions for, and that take so many rows."""
    capability = torch.cuda.get_device_capability()
    lacking = {"rows"} if rows > FEW else set()
    if not (8, 0) <= capability < (10, 0):
        lacking.add("mma")
    if capability != (9, 0):
        lacking.add("wgmma")
    return tuple(k for k in KERNELS if k not in lacking)


def build() -> None:
    """Compile and load the library, and print what it is for; exits with 1 where it does not serve."""
    started = time.perf_counter()
    import cuda_ext

    backend = cuda_ext.backends()["cuda"]
    print(f"{torch.cuda.get_device_name()}, compute capability {torch.cuda.get_device_capability()}, torch", end=" ")
    print(f"{torch.__version__}, CUDA {torch.version.cuda}; kernels that it can run: {', '.join(runnable())}")
    if not backend.available:
        sys.exit(f"the CUDA library does not serve: {backend.reason}")
    print(f"{backend.compiler}\n{backend.library}, compiled or found in {time.perf_counter() - started:.0f} s")


def tests() -> None:
    """Run the tests that need a GPU; exits with pytest's status."""
    # not the project's pytest options: they want plug-ins that a GPU machine may lack
    options = ["-q", "-ra", "-o", "addopts=", "--import-mode=importlib", "-p", "no:cacheprovider"]
    target = ROOT / "tests" / "cuda_ext" / "test_cuda_device.py"
    sys.exit(subprocess.run([sys.executable, "-m", "pytest", *options, str(target)], cwd=ROOT).returncode)


def exercise() -> None:
    """Run every operation and kernel once, small and with tails, and compare with its reference."""
    found = itertools.chain(exercised_operations(), exercised_products())
    failures = [name for name, out, expected in found if not torch.equal(out.cpu(), expected)]
    torch.cuda.synchronize()
    if failures:
        sys.exit(f"differ from the references: {', '.join(failures)}")
    print("every operation equals its reference")


def exercised_operations() -> Iterator[tuple[str, Tensor, Tensor]]:
    """Run the operations that have one kernel: name, result, and the reference's."""
    import cuda_ext
    from cuda_ext import reference

    generator = torch.Generator().manual_seed(0)
    m, n, k = 70, 151, 1100
    x, y = torch.randn(m, k, generator=generator), torch.randn(n, k, generator=generator)
    a, b = reference.pack_signs(x), reference.pack_signs(y)
    key = torch.tensor([11, 22])
    yield "pack_signs", cuda_ext.pack_signs(x.cuda()), a
    drawn = reference.pack_signs_stochastic(x, key)
    yield "pack_signs_stochastic", cuda_ext.pack_signs_stochastic(x.cuda(), key.cuda()), drawn
    yield "unpack_signs", cuda_ext.unpack_signs(a.cuda(), k), reference.unpack_signs(a, k)
    sums, threshold, direction = reference.xnor_matmul(a, b, k), *random_thresholds(n, generator)
    signs = reference.sign_threshold_pack(sums, threshold, direction)
    yield "sign_threshold_pack", cuda_ext.sign_threshold_pack(sums.cuda(), threshold.cuda(), direction.cuda()), signs
    pixels = torch.randint(0, 256, (m, k), generator=generator).to(torch.uint8)
    planes = reference.bitplane_matmul(pixels, b, k)
    yield "bitplane_matmul", cuda_ext.bitplane_matmul(pixels.cuda(), b.cuda(), k), planes
    left, right = (torch.randint(-128, 128, (i, k), generator=generator).to(torch.int8) for i in (m, n))
    yield "int8_matmul", cuda_ext.int8_matmul(left.cuda(), right.cuda()), reference.int8_matmul(left, right)
    whole = torch.randint(-50, 51, (m, k), generator=generator).to(torch.float32)
    real = reference.binary_weight_matmul(whole, b, k)
    yield "binary_weight_matmul", cuda_ext.binary_weight_matmul(whole.cuda(), b.cuda(), k), real


def exercised_products() -> Iterator[tuple[str, Tensor, Tensor]]:
    """Run the binary products and convolutions with every kernel: name, result, and the reference's."""
    import cuda_ext
    from cuda_ext import reference

    generator = torch.Generator().manual_seed(1)
    m, n, k = 70, 151, 1100
    a, b = (reference.pack_signs(torch.randn(i, k, generator=generator)) for i in (m, n))
    rule, affine = random_thresholds(n, generator), torch.randn(2, n, generator=generator)
    product = reference.xnor_matmul(a, b, k)
    signs, halves = reference.sign_threshold_pack(product, *rule), reference.scale_shift(product, *affine)
    rule_there, affine_there = [t.cuda() for t in rule], affine.cuda()
    image = reference.pack_signs(torch.randn(2, 6, 5, 130, generator=generator))
    filters = reference.pack_signs(torch.randn(n, 3, 3, 130, generator=generator))
    for kernel, rows in [*((kernel, m) for kernel in runnable(m)), ("rows", FEW)]:
        with xnor_kernel(kernel):
            there = a[:rows].cuda(), b.cuda(), k
            yield f"xnor_matmul {kernel}", cuda_ext.xnor_matmul(*there), product[:rows]
            yield f"xnor_matmul_scale {kernel}", cuda_ext.xnor_matmul_scale(*there, *affine_there), halves[:rows]
            yield f"xnor_matmul_sign {kernel}", cuda_ext.xnor_matmul_sign(*there, *rule_there), signs[:rows]
            for pad_value in (-1, 0, 1) if kernel in ("popc", "mma") else ():
                expected = reference.xnor_conv2d(image, filters, 130, [1, 1], [1, 1], [1, 1], pad_value)
                case, operands = f"{kernel} pad {pad_value}", (image.cuda(), filters.cuda(), 130)
                window = {"padding": 1, "pad_value": pad_value}
                yield f"xnor_conv2d {case}", cuda_ext.xnor_conv2d(*operands, **window), expected
                out = cuda_ext.xnor_conv2d_scale(*operands, *affine_there, **window)
                yield f"xnor_conv2d_scale {case}", out, reference.scale_shift(expected, *affine)
                out = cuda_ext.xnor_conv2d_sign(*operands, *rule_there, **window)
                yield f"xnor_conv2d_sign {case}", out, reference.sign_threshold_pack(expected, *rule)


def random_thresholds(channels: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw a threshold (int32) and a direction (int8) for each channel."""
    threshold = torch.randint(-5, 6, (channels,), generator=generator, dtype=torch.int32)
    return threshold, torch.randint(-1, 2, (channels,), generator=generator).to(torch.int8)


def sanitize() -> None:
    """Run `exercise` under compute-sanitizer's tools; exits with 1 where one fails, NOT_RUN where it is missing."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        print("not run: compute-sanitizer is not on the PATH")
        sys.exit(NOT_RUN)
    # Without torch's caching, so that the end of a tensor is the end of its memory.
    environment = {**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    command = [sys.executable, __file__, "--stage", "exercise"]
    # Not the calls that return an error: the runtime asks the driver for functions that it may lack.
    kinds = {"memcheck": ["--report-api-errors", "no"], "racecheck": [], "synccheck": []}
    failed = []
    for kind, options in kinds.items():
        print(f"compute-sanitizer --tool {kind}", flush=True)
        watched = [tool, "--tool", kind, *options, "--error-exitcode", "9", *command]
        if subprocess.run(watched, env=environment).returncode:
            failed.append(kind)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def seconds_of(call: Callable[[], object], repeats: int) -> float:
    """Time one of so many calls between two CUDA events (`qbench.bench.timing.Timer`)."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(repeats):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1000 / repeats


def recorded(call: Callable[[], object], pool: object) -> Callable[[], object]:
    """Record REPLAYED calls as one replay. Graphs of one pool write to the same memory: nobody reads their results."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        call()  # what is loaded or allocated once cannot be in a capture
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        for _ in range(REPLAYED):
            call()
    return graph.replay


def compete(case: str, work: float, unit: str, contestants: dict[str, Callable[[], object]]) -> list[dict[str, object]]:
    """Print and return the rows of one case; the first contestant is what the ratios are to."""
    from qbench.bench import timing

    baseline = next(iter(contestants))
    called = timing.summaries(timing.interleave(contestants, ROUNDS, seconds_of), baseline)
    pool = torch.cuda.graph_pool_handle()
    replays = {name: recorded(call, pool) for name, call in contestants.items()}
    replayed = timing.interleave(replays, ROUNDS, seconds_of)
    device = {name: [seconds / REPLAYED for seconds in measured] for name, measured in replayed.items()}
    rows: list[dict[str, object]] = []
    for name, found in timing.summaries(device, baseline).items():
        call_seconds = called[name].seconds
        rate = work / found.seconds
        rows.append({"case": case, "contestant": name, **asdict(found), "call_seconds": call_seconds, unit: rate})
        spread = "[" + ", ".join(f"{bound * 1e6:.1f}" for bound in found.quartiles) + "]"
        median = f"{call_seconds * 1e6:11.1f} {found.seconds * 1e6:11.1f} {spread:>24}"
        print(f"{case:20} {name:26} {median} {rate:9.1f} {unit:4} {found.ratio:8.2f}×", flush=True)
    return rows


def forced(kernel: str, operation: Callable[..., Tensor], *arguments: object, **keywords: object) -> Tensor:
    """Call an operation with a kernel of the binary product forced."""
    with xnor_kernel(kernel):
        return operation(*arguments, **keywords)


def time_products() -> Iterator[list[dict[str, object]]]:
    """Time the matrix products of PRODUCTS, case by case."""
    import cuda_ext
    from qbench.bench.products import MATMULS

    def pack_and_multiply(x: Tensor, b: Tensor, k: int, threshold: Tensor, direction: Tensor) -> Tensor:
        return cuda_ext.xnor_matmul_sign(cuda_ext.pack_signs(x), b, k, threshold, direction)

    for case in PRODUCTS:
        size = MATMULS[case]
        m, k, n = size.m, size.k, size.n
        x, y = torch.randn(m, k, device="cuda"), torch.randn(n, k, device="cuda")
        a, b = cuda_ext.pack_signs(x), cuda_ext.pack_signs(y)
        threshold = torch.zeros(n, dtype=torch.int32, device="cuda")
        direction = torch.ones(n, dtype=torch.int8, device="cuda")
        scale, shift = torch.randn(2, n, device="cuda")
        contestants: dict[str, Callable[[], object]] = {
            "torch fp32": partial(torch.matmul, x, y.T),
            "torch bf16": partial(torch.matmul, x.bfloat16(), y.bfloat16().T),
        }
        if m > 16 and n % 8 == 0 and k % 8 == 0:  # what torch._int_mm takes
            left, right = (x > 0).to(torch.int8) * 2 - 1, (y > 0).to(torch.int8) * 2 - 1
            contestants["torch int8"] = partial(torch._int_mm, left, right.T)
            contestants["int8_matmul"] = partial(cuda_ext.int8_matmul, left, right)
        for kernel in runnable(m):
            sign = (b, k, threshold, direction)
            contestants[f"{kernel} int32"] = partial(forced, kernel, cuda_ext.xnor_matmul, a, b, k)
            contestants[f"{kernel} half"] = partial(forced, kernel, cuda_ext.xnor_matmul_scale, a, b, k, scale, shift)
            contestants[f"{kernel} bits"] = partial(forced, kernel, cuda_ext.xnor_matmul_sign, a, *sign)
            contestants[f"{kernel} bits, packing x"] = partial(forced, kernel, pack_and_multiply, x, *sign)
        contestants["binary_weight_matmul"] = partial(cuda_ext.binary_weight_matmul, x, b, k)
        yield compete(case, size.operations / 1e12, "TOPS", contestants)


def time_convolutions() -> Iterator[list[dict[str, object]]]:
    """Time the convolutions of CONVOLUTIONS, case by case."""
    import cuda_ext

    for case, (batch, channels, size, filters) in CONVOLUTIONS.items():
        x = torch.randn(batch, channels, size, size, device="cuda")
        w = torch.randn(filters, channels, 3, 3, device="cuda")
        operands = [cuda_ext.pack_signs(t.permute(0, 2, 3, 1)) for t in (x, w)]
        contestants: dict[str, Callable[[], object]] = {
            "torch fp32": partial(torch.nn.functional.conv2d, x, w, padding=1),
            "torch bf16, channels last": partial(
                torch.nn.functional.conv2d,
                x.bfloat16().to(memory_format=torch.channels_last),
                w.bfloat16().to(memory_format=torch.channels_last),
                padding=1,
            ),
        }
        for kernel in runnable():
            if kernel in ("popc", "mma"):  # the others are not written for convolutions
                call = partial(forced, kernel, cuda_ext.xnor_conv2d, *operands, channels, padding=1)
                contestants[f"{kernel} int32"] = call
        work = 2.0 * batch * size * size * filters * channels * 9 / 1e12
        yield compete(case, work, "TOPS", contestants)


def time_packing() -> Iterator[list[dict[str, object]]]:
    """Time packing beside a copy, both bound by memory."""
    import cuda_ext

    x = torch.randn(16384, 16384, device="cuda")
    copy = torch.empty_like(x)
    key = torch.tensor([1, 2], device="cuda")
    read = x.numel() * 4 / 1e9
    # Bytes moved: a copy writes as much as it reads, packing a 32nd of it.
    yield compete("copy, 1 GiB", 2 * read, "GB/s", {"copy_": partial(copy.copy_, x)})
    packing: dict[str, Callable[[], object]] = {
        "pack_signs": partial(cuda_ext.pack_signs, x),
        "pack_signs_stochastic": partial(cuda_ext.pack_signs_stochastic, x, key),
    }
    yield compete("packing, 1 GiB", read * 33 / 32, "GB/s", packing)


def measure(path: Path | None) -> None:
    """Time every case, print the table, and write it to `path` after every case."""
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    medians = f"{'call, µs':>11} {'device, µs':>11} {'quartiles':>24}"
    heading = f"{'case':20} {'contestant':26} {medians} {'rate':>14} {'ratio':>9}"
    print(heading + "\n" + "-" * len(heading), flush=True)
    device = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "cuda": torch.version.cuda}
    rows: list[dict[str, object]] = []
    for case in itertools.chain(time_packing(), time_products(), time_convolutions()):
        rows += case
        if path is not None:  # after every case: what was measured stays where a limit ends the rest
            path.write_text(json.dumps({**device, "rows": rows}, indent=1) + "\n")


def run_stage(command: list[str], environment: dict[str, str], seconds: float) -> str:
    """Run a stage and say how it ended. What it started ends with its time: it would disturb the stages after it."""
    with subprocess.Popen(command, env=environment, process_group=0) as process:
        try:
            code = process.wait(seconds)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                return f"FAILED: more than {seconds:.0f} s"
            raise
    return {0: "passed", NOT_RUN: LACKING}.get(code, f"FAILED with {code}")


def main() -> int:
    """Run the stage asked for, or all of them; 0 where all passed, 1 where one failed, 2 without a GPU."""
    parser = argparse.ArgumentParser(description="Check and time the CUDA kernels on this machine's GPU.")
    parser.add_argument("--stage", choices=(*STAGES, "exercise"), help="run one stage, in this process")
    parser.add_argument("--json", type=Path, help="write the timings here, too")
    parser.add_argument("--within", type=float, metavar="SECONDS", help="end all stages within this time")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("not run: torch finds no CUDA device here", file=sys.stderr)
        return 2
    sys.path.insert(0, str(ROOT))
    if options.stage is not None:
        stages: dict[str, Callable[[], None]] = {
            "build": build,
            "tests": tests,
            "sanitize": sanitize,
            "exercise": exercise,
            "time": partial(measure, options.json),
        }
        stages[options.stage]()
        return 0

    # One cache for all stages: the tests would otherwise build in theirs.
    environment = {"QBENCH_CACHE": str(Path.home() / ".cache" / "qbench"), "PYTHONUNBUFFERED": "1", **os.environ}
    end = time.monotonic() + (options.within or len(STAGES) * STAGE_SECONDS)
    results = {}
    for stage in STAGES:
        seconds = min(STAGE_SECONDS, end - time.monotonic())
        if seconds <= 0:
            break
        print(f"== {stage}", flush=True)
        command = [sys.executable, __file__, "--stage", stage]
        command += ["--json", str(options.json.resolve())] if options.json and stage == "time" else []
        results[stage] = run_stage(command, environment, seconds)
        if stage == "build" and results[stage] != "passed":
            break
    print("== summary")
    for stage in STAGES:
        print(f"{stage:10} {results.get(stage, 'not run: no time left, or no library')}")
    return 0 if all(results.get(stage) in ("passed", LACKING) for stage in STAGES) else 1


if __name__ == "__main__":
    sys.exit(main())
