"""Contestants timed side by side, in rounds.

Method: the contestants of a case run in turn, round after round, so that a disturbance of the machine meets all of
them. A time is the median over the rounds, with its quartiles; a ratio is the median of the rounds' own ratios. A call
that is short is repeated within a round until it lasts `MIN_SECONDS`. A multiply-add counts 2 operations.
"""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from cuda_ext import runtime

MIN_SECONDS = 0.01
BASELINE = "torch fp32"
"""The contestant that ratios are to."""

# mallopt's parameters: free memory at the heap's end that is given back, and blocks that may be mappings of their own
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4

Timer = Callable[[Callable[[], Any], int], float]
"""`timer(call, repeats)` makes so many calls, and returns the seconds of one."""


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


@dataclass(frozen=True)
class Summary:
    """The rounds of one contestant, summed up.

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


@dataclass(frozen=True)
class Timing:
    """One contestant of one case.

    Attributes:
        case: the case's name.
        name: the contestant's.
        seconds, quartiles, ratio, ratio_quartiles: as in `Summary`; the ratio is to `BASELINE`.
        gops: 10^9 operations per second, at the median.
        share_of_peak: `gops` as a share of what the direct kernel's instructions reach without a load, times the
            threads: above 1 where the carry-save popcount runs instead; None for what does not count bits.
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

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def by_clock(clock: Callable[[], float]) -> Timer:
    """Return a timer that reads `clock` before and after the calls."""

    def seconds_of(call: Callable[[], Any], repeats: int) -> float:
        start = clock()
        for _ in range(repeats):
            call()
        return (clock() - start) / repeats

    return seconds_of


WALL_CLOCK = by_clock(time.perf_counter)


def keep_freed_memory() -> bool:
    """Let this process keep what it frees for its next calls; False where there is no glibc, and nothing changes.

    glibc gives a large block back to the system when it is freed, or not: by its size, and by whether it lies at the
    heap's end, which is chance. The next call's result then takes page faults, or none. A program that times products
    calls this first, so that none does.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1))


def interleave(
    calls: Mapping[str, Callable[[], Any]], rounds: int, seconds_of: Timer = WALL_CLOCK
) -> dict[str, list[float]]:
    """Time every contestant in each of the rounds, one after the other.

    A contestant whose call lasts less than a second makes one more call at the head of its turn, which is not timed: it
    takes over the caches, and memory that the system had taken back, from the contestant before.

    Returns: seconds per call, a list of `rounds` for each contestant.
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


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return 25 %, 50 % and 75 % of `values`."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def summarize(times: Sequence[float], baseline: Sequence[float]) -> Summary:
    """Sum up one contestant's `times`, beside those of the baseline in the same rounds."""
    low, seconds, high = quartiles(times)
    slow, ratio, fast = quartiles([base / own for base, own in zip(baseline, times, strict=True)])
    return Summary(seconds, (low, high), ratio, (slow, fast))


def summaries(times: Mapping[str, Sequence[float]], baseline: str) -> dict[str, Summary]:
    """Sum up every contestant of `interleave`; ratios are to the one named `baseline`."""
    return {name: summarize(own, times[baseline]) for name, own in times.items()}


def compare(
    case: str,
    contestants: Mapping[str, Contestant],
    operations: float,
    rounds: int,
    peak: float | None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Timing]:
    """Time the contestants of one case, `BASELINE` among them.

    Args:
        case: its name, for the rows.
        contestants: by name.
        operations: of one call.
        rounds: how many.
        peak: what `peak_gops` measured for one core; None leaves the share of it out.
        clock: seconds, of the wall or of this process's processor time (`time.process_time`).
    """
    times = interleave({name: contestant.call for name, contestant in contestants.items()}, rounds, by_clock(clock))
    found = summaries(times, BASELINE)
    # Processor time adds the threads up: the peak of one core is then the one to compare with.
    limit = peak * (1 if clock is time.process_time else torch.get_num_threads()) if peak else None
    rows = []
    for name, contestant in contestants.items():
        gops = operations / found[name].seconds / 1e9
        share = gops / limit if limit and contestant.counts_bits else None
        of_rounds = asdict(found[name])
        rows.append(
            Timing(case, name, gops=gops, share_of_peak=share, weight_bytes=contestant.weight_bytes, **of_rounds)
        )
    return rows


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
