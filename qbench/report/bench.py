"""The results of a benchmark, as text and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

import cuda_ext
from qbench.bench.cases import CaseResult
from qbench.bench.timing import Timing
from qbench.report.columns import aligned


def bench_title(device: str, threads: int, rounds: int) -> str:
    """Return what the results were measured on: torch, kernels, threads, rounds."""
    backend = cuda_ext.backends()[device]
    used = f"{backend.selected} kernels" if backend.available else f"pure-torch references ({backend.reason})"
    return f"torch {torch.__version__}, {used}, {threads} thread{'s' * (threads > 1)}, {rounds} interleaved rounds"


def bench_head(device: str, threads: int, rounds: int) -> str:
    """Return what the lines below it were measured on, and how to read them."""
    return (
        f"{bench_title(device, threads, rounds)}\n"
        "Measured: time of a call (quartiles); GOPS, a multiply-add being 2 operations; share of the direct kernel's\n"
        "measured limit, above 100 % with the carry-save popcount; times as fast as torch fp32, median of the rounds'\n"
        "ratios (quartiles); resident weights. Freed memory is kept for the next call where libc is glibc."
    )


def bench_lines(result: CaseResult) -> list[str]:
    """Return one case as lines: its name, then a line for each contestant."""
    head = f"\n{result.case}"
    if result.not_run:
        return [f"{head}: not run: {result.not_run}"]
    if result.agreement is not None:
        head += f": {100 * result.agreement:.2f} % of packed predictions equal the fake-quantized module's"
    return [head, *("  " + line for line in aligned([_cells(row) for row in result.rows], left=1))]


def _cells(row: Timing) -> list[str]:
    low, high = row.quartiles
    slow, fast = row.ratio_quartiles
    return [
        row.name,
        f"{1e3 * row.seconds:.4g} ms",
        f"({1e3 * low:.4g} - {1e3 * high:.4g})",
        f"{row.gops:,.1f} GOPS",
        "-" if row.share_of_peak is None else f"{100 * row.share_of_peak:.1f} %",
        f"{row.ratio:.2f}×",
        f"({slow:.2f} - {fast:.2f})",
        f"{row.weight_bytes / 2**20:.3f} MiB",
    ]


def bench_dict(results: Sequence[CaseResult], device: str, threads: int, rounds: int) -> dict[str, Any]:
    """Return the run as plain values for JSON."""
    backend = cuda_ext.backends()[device]
    return {
        "torch": torch.__version__,
        "device": device,
        "backend": backend.selected,
        "threads": threads,
        "rounds": rounds,
        "cases": [result.to_dict() for result in results],
    }
