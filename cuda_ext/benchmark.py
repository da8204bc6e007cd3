"""Timing of the CPU kernels against torch, side by side: what `benchmarks/kernels.py` and `qbench bench kernels` print.

Method: the contestants of a case run in turn, round after round, so that a disturbance of the machine meets all of
them; a figure is the median over the rounds with its quartiles, and a ratio is the median of the rounds' own ratios. A
call that is short is repeated within a round until it lasts `MIN_SECONDS`. 1 multiply-add counts 2 operations.

glibc gives a large block back to the system when it is freed, or not: by its size, and by whether it lies at the heap's
end, which is chance. The next call's result then takes page faults, or none. The programs that time products call
`keep_freed_memory` first, so that none does.
"""

import ctypes
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cuda_ext import ops, runtime
from cuda_ext.threshold import integer_threshold

MIN_SECONDS = 0.01
BASELINE = "torch fp32"
# More than the last cache of today's processors, so that rotating through as many bytes finds nothing in it.
COLD_BYTES = 512 << 20

# mallopt's parameters: free memory at the heap's end that is given back, and blocks that may be mappings of their own
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


@dataclass(frozen=True, kw_only=True)
class MatmulSize:
    """The size of a product `[m, k] · [n, k]ᵀ -> [m, n]`; by keyword, so that no two of the three can be swapped.

    Attributes:
        m: rows of the left operand (a layer's batch).
        k: length of the dot products (a layer's inputs).
        n: rows of the transposed right operand (a layer's outputs).
    """

    m: int
    k: int
    n: int

    @property
    def operations(self) -> float:
        """Operations of the product: `2·m·k·n`, as a multiply-add is 2."""
        return 2.0 * self.m * self.k * self.n


# Of the CPU's benchmark and of benchmarks/cuda_check.py.
MATMULS: dict[str, MatmulSize] = {
    "square-8192": MatmulSize(m=8192, k=8192, n=8192),
    "square-4096": MatmulSize(m=4096, k=4096, n=4096),
    "square-1024": MatmulSize(m=1024, k=1024, n=1024),
    "tall-1024": MatmulSize(m=1024, k=4096, n=4096),
    "mlp-first-100": MatmulSize(m=100, k=784, n=4096),
    "mlp-hidden-100": MatmulSize(m=100, k=4096, n=4096),
    "mlp-last-100": MatmulSize(m=100, k=4096, n=10),
    "mlp-hidden-1": MatmulSize(m=1, k=4096, n=4096),
    "mlp-last-1": MatmulSize(m=1, k=4096, n=10),
}
# channels, height and width, filters: layers 2 to 6 of BinaryNet's CIFAR-10 network, 3×3 kernels, zero padding
CONVOLUTIONS = ((128, 32, 128), (128, 16, 256), (256, 16, 256), (256, 8, 512), (512, 8, 512))


@dataclass(frozen=True)
class Timing:
    """One contestant of one case.

    Attributes:
        case: the case's name.
        name: the contestant's.
        seconds: median over the rounds of one call.
        quartiles: 25 % and 75 % of the same.
        gops: 10^9 operations per second, at the median.
        ratio: the median over the rounds of `BASELINE`'s time by this one's.
        ratio_quartiles: 25 % and 75 % of the same.
        share_of_peak: of the direct kernel's measured limit, times the threads: above 1 where the carry-save popcount
            runs instead; None for what does not count bits.
        weight_bytes: resident bytes of the weights as this contestant holds them.
    """

    case: str
    name: str
    seconds: float
    quartiles: tuple[float, float]
    gops: float
    ratio: float
    ratio_quartiles: tuple[float, float]
    share_of_peak: float | None
    weight_bytes: int


@dataclass(frozen=True)
class Contestant:
    """What is timed.

    Attributes:
        call: one call of it.
        weight_bytes: resident bytes of the weights as it holds them.
        counts_bits: whether its products count bits, so that the measured peak is its limit.
    """

    call: Callable[[], Any]
    weight_bytes: int
    counts_bits: bool = False


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Compute 25 %, 50 % and 75 % of `values`."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


# timer(call, repeats): makes so many calls, and returns the seconds of one.
Timer = Callable[[Callable[[], Any], int], float]


def by_clock(clock: Callable[[], float]) -> Timer:
    """Make a timer that reads `clock` before and after the calls."""

    def seconds_of(call: Callable[[], Any], repeats: int) -> float:
        start = clock()
        for _ in range(repeats):
            call()
        return (clock() - start) / repeats

    return seconds_of


WALL_CLOCK = by_clock(time.perf_counter)


def keep_freed_memory() -> bool:
    """Let this process keep what it frees for its next calls; False where it is no glibc: nothing changes."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1))


def interleave(
    calls: Mapping[str, Callable[[], Any]], rounds: int, seconds_of: Timer = WALL_CLOCK
) -> dict[str, list[float]]:
    """Time every contestant in each of the rounds, one after the other: seconds per call, a list of `rounds` for each.

    A contestant whose call lasts less than a second makes one that is not timed at the head of its turn: it takes over
    the caches, and memory that the system had taken back, from the contestant before.
    """
    repeats: dict[str, int] = {}
    slow: set[str] = set()
    largest = 0
    for name, call in calls.items():
        result = call()
        if isinstance(result, Tensor) and result.device.type == "cpu":
            largest = max(largest, result.nbytes)
        del result
        seconds = seconds_of(call, 1)
        repeats[name] = max(1, int(MIN_SECONDS / max(seconds, 1e-7)))
        if seconds >= 1.0:
            slow.add(name)
    # Room for any result, its pages touched: an aligned block asks for a little more than the block of its size that
    # was freed before it, so that without room it would go on to fresh pages.
    torch.empty(3 * largest, dtype=torch.uint8).fill_(1)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            if name not in slow:
                call()
            times[name].append(seconds_of(call, repeats[name]))
    return times


@dataclass(frozen=True)
class Summary:
    """One contestant's rounds in figures.

    Attributes:
        seconds: median over the rounds of one call.
        quartiles: 25 % and 75 % of the same.
        ratio: the median over the rounds of the baseline's time by this one's.
        ratio_quartiles: 25 % and 75 % of the same.
    """

    seconds: float
    quartiles: tuple[float, float]
    ratio: float
    ratio_quartiles: tuple[float, float]


def summarize(times: Sequence[float], baseline: Sequence[float]) -> Summary:
    """Compute the figures of one contestant's `times` against those of the baseline in the same rounds."""
    low, seconds, high = quartiles(times)
    slow, ratio, fast = quartiles([base / own for base, own in zip(baseline, times, strict=True)])
    return Summary(seconds, (low, high), ratio, (slow, fast))


def summaries(times: Mapping[str, Sequence[float]], baseline: str) -> dict[str, Summary]:
    """Compute the figures of every contestant of `interleave`, the one named `baseline` being what ratios are to."""
    return {name: summarize(own, times[baseline]) for name, own in times.items()}


def peak_gops(
    clock: Callable[[], float] = time.perf_counter, rounds: int = 9, carry_save: bool = False
) -> float | None:
    """Measure the direct kernel's instructions on one core without a single load: its limit in GOPS.

    With `carry_save` those of the carry-save popcount, which does the same multiply-adds in fewer instructions. None
    where the ISA has no loop to measure.
    """
    steps = 1_000_000
    if not runtime.run_peak(1, carry_save):
        return None
    rates = []
    for _ in range(rounds):
        start = clock()
        done = runtime.run_peak(steps, carry_save)
        rates.append(done / (clock() - start) / 1e9)
    return max(rates)  # a limit: whatever disturbs the machine only lowers it


def _bytes(*tensors: Tensor) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def matmul(size: MatmulSize, cold: bool = False) -> dict[str, Contestant]:
    """Make the contestants of a product; `cold` rotates each through more weights than a cache holds."""
    m, k, n = size.m, size.k, size.n
    generator = torch.Generator().manual_seed(0)
    x, w = torch.randn(m, k, generator=generator), torch.randn(n, k, generator=generator)
    bits, w_bits = ops.pack_signs(x), ops.pack_signs(w)
    if cold:
        return {
            BASELINE: _rotating(w, lambda b: x @ b.T, False),
            "xnor plain": _rotating(w_bits, lambda b: ops.xnor_matmul(bits, b, k), True),
        }
    packed = ops.prepack(w_bits, k)
    transposed = w.T.contiguous()
    x16, w16 = x.bfloat16(), w.bfloat16()
    x8 = torch.randint(-128, 128, (m, k), dtype=torch.int8, generator=generator)
    w8 = torch.randint(-128, 128, (n, k), dtype=torch.int8, generator=generator)
    packed8 = ops.prepack_int8(w8)
    pixels = torch.randint(0, 256, (m, k), dtype=torch.uint8, generator=generator)
    found = {
        BASELINE: Contestant(lambda: x @ w.T, _bytes(w)),
        "torch fp32, other layout": Contestant(lambda: x @ transposed, _bytes(w)),
        "torch bf16": Contestant(lambda: x16 @ w16.T, _bytes(w16)),
        "torch int8": Contestant(lambda: torch._int_mm(x8, w8.T), _bytes(w8)),
        "int8": Contestant(lambda: ops.int8_matmul(x8, w8), _bytes(w8)),
        "int8 prepacked": Contestant(lambda: ops.int8_matmul(x8, packed8), packed8.nbytes),
        "binary weights": Contestant(lambda: ops.binary_weight_matmul(x, packed, k), packed.nbytes),
        "bit planes": Contestant(lambda: ops.bitplane_matmul(pixels, packed, k), packed.nbytes),
        "xnor plain": Contestant(lambda: ops.xnor_matmul(bits, w_bits, k), _bytes(w_bits), True),
        "xnor prepacked": Contestant(lambda: ops.xnor_matmul(bits, packed, k), packed.nbytes, True),
        "xnor, float in": Contestant(lambda: ops.xnor_matmul(ops.pack_signs(x), packed, k), packed.nbytes, True),
    }
    if m <= 16:
        del found["torch int8"]  # torch._int_mm is made for more rows
    return found


def _rotating(weights: Tensor, call: Callable[[Tensor], Any], counts_bits: bool) -> Contestant:
    copies = [weights.clone() for _ in range(max(2, COLD_BYTES // _bytes(weights)))]
    turn = itertools.cycle(copies)
    return Contestant(lambda: call(next(turn)), _bytes(weights), counts_bits)


def convolution(batch: int, channels: int, size: int, filters: int) -> dict[str, Contestant]:
    """Make the contestants of a 3×3 convolution with padding 1: int32 out, and bits out."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, channels, size, size, generator=generator)
    w = torch.randn(filters, channels, 3, 3, generator=generator)
    last = x.to(memory_format=torch.channels_last), w.to(memory_format=torch.channels_last)
    bits = ops.pack_signs(x.permute(0, 2, 3, 1))
    packed = ops.prepack(ops.pack_signs(w.permute(0, 2, 3, 1)), channels)
    threshold, up = torch.zeros(filters, dtype=torch.int32), torch.ones(filters, dtype=torch.int8)
    return {
        BASELINE: Contestant(lambda: F.conv2d(x, w, padding=1), _bytes(w)),
        "torch fp32, channels last": Contestant(lambda: F.conv2d(*last, padding=1), _bytes(w)),
        "xnor": Contestant(lambda: ops.xnor_conv2d(bits, packed, channels, padding=1), packed.nbytes, True),
        "xnor, bits out": Contestant(
            lambda: ops.xnor_conv2d_sign(bits, packed, channels, threshold, up, padding=1), packed.nbytes, True
        ),
    }


def mlp(batch: int, inputs: int = 784, hidden: int = 4096, outputs: int = 10) -> dict[str, Contestant]:
    """Make the contestants of BinaryNet's MNIST network, image bytes in, scores out: float modules and packed bits.

    Three hidden layers. RuntimeError where a single score differs.
    """
    torch.manual_seed(0)
    sizes = [(inputs, hidden), (hidden, hidden), (hidden, hidden), (hidden, outputs)]
    weights = [torch.where(torch.randn(n, k) >= 0, 1.0, -1.0) for k, n in sizes]
    norms = [torch.nn.BatchNorm1d(n).eval() for _, n in sizes]
    pixels = torch.randint(0, 256, (batch, inputs), dtype=torch.uint8)
    image = pixels.float()
    packed = [ops.prepack(ops.pack_signs(w), w.shape[1]) for w in weights]
    bounds = [255 * inputs, hidden, hidden]
    folded = []
    with torch.inference_mode():
        for norm, bound in zip(norms[:-1], bounds, strict=True):
            for parameter in (norm.weight, norm.bias):
                parameter.copy_(torch.randn(hidden))
            # the layer's own arithmetic decides each threshold, so that not a single bit can differ
            folded.append(
                integer_threshold(
                    lambda s, norm=norm: norm(s[None].to(torch.float32))[0] >= 0,  # type: ignore[misc]
                    -bound,
                    bound,
                    hidden,
                )
            )

    def floats() -> Tensor:
        with torch.inference_mode():
            x = image
            for w, norm in zip(weights[:-1], norms[:-1], strict=True):
                x = torch.where(norm(x @ w.T) >= 0, 1.0, -1.0)
            return norms[-1](x @ weights[-1].T)

    def bits() -> Tensor:
        with torch.inference_mode():
            x = ops.sign_threshold_pack(ops.bitplane_matmul(pixels, packed[0], inputs), *folded[0])
            x = ops.xnor_matmul_sign(x, packed[1], hidden, *folded[1])
            x = ops.xnor_matmul_sign(x, packed[2], hidden, *folded[2])
            return norms[-1](ops.xnor_matmul(x, packed[3], hidden).to(torch.float32))

    if not torch.equal(floats(), bits()):
        raise RuntimeError("the packed network's scores differ from the float network's")
    return {
        BASELINE: Contestant(floats, _bytes(*weights)),
        "packed": Contestant(bits, sum(p.nbytes for p in packed), True),
    }


def compare(
    case: str,
    contestants: Mapping[str, Contestant],
    operations: float,
    rounds: int,
    peak: float | None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Timing]:
    """Time the contestants of one case. `operations` of one call; `peak` in GOPS for one thread."""
    times = interleave({name: c.call for name, c in contestants.items()}, rounds, by_clock(clock))
    found = summaries(times, BASELINE)
    # CPU time adds the threads up: the peak of one core is then the one to compare with
    limit = peak * (1 if clock is time.process_time else torch.get_num_threads()) if peak else None
    rows = []
    for name, contestant in contestants.items():
        gops = operations / found[name].seconds / 1e9
        share = gops / limit if limit and contestant.counts_bits else None
        figures = asdict(found[name])
        rows.append(Timing(case, name, gops=gops, share_of_peak=share, weight_bytes=contestant.weight_bytes, **figures))
    return rows


def cases(names: Sequence[str]) -> Iterator[tuple[str, dict[str, Contestant], float]]:
    """Make (name, contestants, operations) of each case asked for, one at a time: the large ones are gigabytes.

    Names: those of `MATMULS`, `cold-1` (batch 1 with weights from memory), `conv-BATCH`, `mlp-BATCH`. ValueError for
    another, naming the possible ones.
    """
    for name in names:
        kind, _, number = name.rpartition("-")
        if name in MATMULS:
            size = MATMULS[name]
            yield name, matmul(size), size.operations
        elif name == "cold-1":
            size = MATMULS["mlp-hidden-1"]
            yield name, matmul(size, cold=True), size.operations
        elif kind == "conv" and number.isdigit() and int(number) > 0:
            for channels, side, filters in CONVOLUTIONS:
                label = f"{name} {channels}x{side}x{side} to {filters}"
                work = 2.0 * int(number) * side * side * filters * channels * 9
                yield label, convolution(int(number), channels, side, filters), work
        elif kind == "mlp" and number.isdigit() and int(number) > 0:
            macs = int(number) * (784 * 4096 + 2 * 4096 * 4096 + 4096 * 10)
            yield name, mlp(int(number)), 2.0 * macs
        else:
            known = ", ".join([*MATMULS, "cold-1", "conv-BATCH", "mlp-BATCH"])
            raise ValueError(f"case: expected one of {known}, got {name!r}")


def as_row(timing: Timing) -> dict[str, Any]:
    """Convert a Timing to plain data for JSON."""
    return asdict(timing)
