"""Times the CPU kernels against torch, side by side: what `benchmarks/kernels.py` and `qbench bench kernels` print.

Method: the contestants of a case run in turn, round after round, so that a disturbance of the machine meets all of
them; a figure is the median over the rounds with its quartiles, and a ratio is the median of the rounds' own ratios. A
call that is short is repeated within a round until it lasts `MIN_SECONDS`. 1 multiply-add counts 2 operations.

glibc gives a large block back to the system when it is freed, or not: by its size, and by whether it lies at the heap's
end, which is chance. The next call's result then takes page faults, or none. The programs that time products call
`keep_freed_memory` first, so that none does.
"""

import ctypes
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

MATMULS: dict[str, tuple[int, int, int]] = {
    "square-8192": (8192, 8192, 8192),
    "square-4096": (4096, 4096, 4096),
    "square-1024": (1024, 1024, 1024),
    "tall-1024": (1024, 4096, 4096),
    "mlp-first-100": (100, 784, 4096),
    "mlp-hidden-100": (100, 4096, 4096),
    "mlp-last-100": (100, 4096, 10),
    "mlp-hidden-1": (1, 4096, 4096),
    "mlp-last-1": (1, 4096, 10),
}
# channels, size, filters: layers 2 to 6 of BinaryNet's CIFAR-10 network, 3×3 kernels, zero padding
CONVOLUTIONS: tuple[tuple[int, int, int], ...] = (
    (128, 32, 128),
    (128, 16, 256),
    (256, 16, 256),
    (256, 8, 512),
    (512, 8, 512),
)


@dataclass(frozen=True)
class Timing:
    """One contestant of one case."""

    case: str
    name: str
    seconds: float
    """median of a call"""
    quartiles: tuple[float, float]
    gops: float
    ratio: float
    """to `BASELINE`: the median over the rounds of its time by this one's"""
    ratio_quartiles: tuple[float, float]
    share_of_peak: float | None
    """of the direct kernel's measured limit, times the threads: above 1 where carries are counted instead; None for
    what does not count bits"""
    weight_bytes: int
    """resident bytes of the weights as this contestant holds them"""


@dataclass(frozen=True)
class Contestant:
    call: Callable[[], Any]
    weight_bytes: int
    counts_bits: bool = False


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """25 %, 50 % and 75 % of `values`."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


Timer = Callable[[Callable[[], Any], int], float]
"""Seconds of one of so many calls."""


def by_clock(clock: Callable[[], float]) -> Timer:
    """A timer that reads `clock` before and after the calls."""

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
    """Seconds per call of each, `rounds` times, one after the other within a round.

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
    """One contestant's rounds: the median of a call and of the ratio to the baseline, with their quartiles."""

    seconds: float
    quartiles: tuple[float, float]
    ratio: float
    ratio_quartiles: tuple[float, float]


def summarize(times: Sequence[float], baseline: Sequence[float]) -> Summary:
    """`times` of one contestant against those of the baseline in the same rounds."""
    low, seconds, high = quartiles(times)
    slow, ratio, fast = quartiles([base / own for base, own in zip(baseline, times, strict=True)])
    return Summary(seconds, (low, high), ratio, (slow, fast))


def peak_gops(clock: Callable[[], float] = time.perf_counter, rounds: int = 9, carries: bool = False) -> float | None:
    """The direct kernel's instructions on one core without a single load: its measured limit. None: not known here.

    `carries`: those of the product by carries, which does the same multiply-adds in fewer instructions.
    """
    steps = 1_000_000
    if not runtime.run_peak(1, carries):
        return None
    rates = []
    for _ in range(rounds):
        start = clock()
        done = runtime.run_peak(steps, carries)
        rates.append(done / (clock() - start) / 1e9)
    return max(rates)  # a limit: whatever disturbs the machine only lowers it


def _bytes(*tensors: Tensor) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def matmul(m: int, k: int, n: int, cold: bool = False) -> dict[str, Contestant]:
    """The contestants of `[m, k] · [n, k]ᵀ`; `cold` rotates each through more weights than a cache holds."""
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
    turn = iter(_forever(copies))
    return Contestant(lambda: call(next(turn)), _bytes(weights), counts_bits)


def _forever(items: Sequence[Tensor]) -> Iterator[Tensor]:
    while True:
        yield from items


def convolution(batch: int, channels: int, size: int, filters: int) -> dict[str, Contestant]:
    """The contestants of a 3×3 convolution with padding 1: int32 out, and bits out."""
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
    """BinaryNet's MNIST network, three hidden layers, image bytes in, scores out: float modules against packed bits."""
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
    # CPU time adds the threads up: the peak of one core is then the one to compare with
    limit = peak * (1 if clock is time.process_time else torch.get_num_threads()) if peak else None
    rows = []
    for name, contestant in contestants.items():
        found = summarize(times[name], times[BASELINE])
        gops = operations / found.seconds / 1e9
        share = gops / limit if limit and contestant.counts_bits else None
        rows.append(
            Timing(
                case,
                name,
                found.seconds,
                found.quartiles,
                gops,
                found.ratio,
                found.ratio_quartiles,
                share,
                contestant.weight_bytes,
            )
        )
    return rows


def cases(names: Sequence[str]) -> Iterator[tuple[str, dict[str, Contestant], float]]:
    """(name, contestants, operations) of each case asked for, made one at a time: the large ones are gigabytes.

    Names: those of `MATMULS`, `cold-1` (batch 1 with weights from memory), `conv-BATCH`, `mlp-BATCH`. ValueError for
    another, naming the possible ones.
    """
    for name in names:
        kind, _, number = name.rpartition("-")
        if name in MATMULS:
            m, k, n = MATMULS[name]
            yield name, matmul(m, k, n), 2.0 * m * k * n
        elif name == "cold-1":
            yield name, matmul(1, 4096, 4096, cold=True), 2.0 * 4096 * 4096
        elif kind == "conv" and number.isdigit() and int(number) > 0:
            for channels, size, filters in CONVOLUTIONS:
                label = f"{name} {channels}x{size}x{size} to {filters}"
                work = 2.0 * int(number) * size * size * filters * channels * 9
                yield label, convolution(int(number), channels, size, filters), work
        elif kind == "mlp" and number.isdigit() and int(number) > 0:
            macs = int(number) * (784 * 4096 + 2 * 4096 * 4096 + 4096 * 10)
            yield name, mlp(int(number)), 2.0 * macs
        else:
            known = ", ".join([*MATMULS, "cold-1", "conv-BATCH", "mlp-BATCH"])
            raise ValueError(f"case: expected one of {known}, got {name!r}")


def as_row(timing: Timing) -> dict[str, Any]:
    """A Timing as plain data for JSON."""
    return asdict(timing)
