"""What a run of the benchmark is measured under."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch

import cuda_ext
from qbench.bench.timing import keep_freed_memory, peak_gops
from qbench.errors import ConfigError

Clock = Literal["wall", "cpu"]
"""The wall's time, or the processor time of this process: the two are equal on an idle machine with one thread."""

CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}


@dataclass(frozen=True)
class Conditions:
    """What a run of the benchmark is measured under: the head of its table.

    Attributes:
        device: "cpu" or "cuda".
        isa: what runs the kernels: an instruction set or architecture, or `reference`.
        threads: torch's, for every contestant alike.
        rounds: interleaved rounds of a case.
        clock: "wall", or "cpu" for processor time.
        peak_gops: what the direct kernel's instructions reach on one core without a load; None where that has no
            measure (a GPU, the reference, an ISA without such a loop).
        carry_save_peak_gops: the same of the carry-save popcount; None where the ISA has none.
        freed_memory_kept: freed memory stays in the process for the next call; False where there is no glibc.
    """

    device: str
    isa: str
    threads: int
    rounds: int
    clock: Clock
    peak_gops: float | None
    carry_save_peak_gops: float | None
    freed_memory_kept: bool


def check_conditions(device: str, clock: str, isa: str | None) -> None:
    """Raise a ConfigError unless a benchmark can run so.

    Raises:
        ConfigError: an unknown clock, an ISA that this machine does not run, or either of them for a GPU.
    """
    if clock not in CLOCKS:
        raise ConfigError(f"expected {' or '.join(CLOCKS)}, got {clock!r}", "--clock")
    if device != "cpu":
        for option, is_given in (("--isa", isa is not None), ("--clock", clock != "wall")):
            if is_given:
                raise ConfigError(f"is of the CPU's kernels; leave it out with --device {device}", option)
    possible = cuda_ext.available_isas()[:-1]
    if isa is not None and isa not in possible:
        known = f"expected {', '.join(possible)}" if possible else "no kernel is compiled here"
        raise ConfigError(f"{known}, got {isa!r}", "--isa")


def on_isa(isa: str | None) -> AbstractContextManager[None]:
    """Return a context in which the CPU's kernels run on one ISA; None leaves the choice as it is."""
    return nullcontext() if isa is None else cuda_ext.use_isa(isa)


def measure_conditions(device: str, rounds: int, clock: Clock, isa: str | None) -> Conditions:
    """Keep freed memory from now on, measure the peaks, and say what the rows are measured under."""
    kept = keep_freed_memory()
    peak = carry_save_peak = None
    if device == "cpu" and cuda_ext.backends()["cpu"].available:
        with on_isa(isa):
            peak = peak_gops(CLOCKS[clock])
            carry_save_peak = peak_gops(CLOCKS[clock], carry_save=True)
    selected = isa or cuda_ext.backends()[device].selected
    return Conditions(device, selected, torch.get_num_threads(), rounds, clock, peak, carry_save_peak, kept)
