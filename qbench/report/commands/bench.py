"""The results of a benchmark, as text and as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

import torch

import cuda_ext
from qbench.bench.cases import CaseResult
from qbench.bench.conditions import Conditions
from qbench.bench.layers_total import layers_totals
from qbench.bench.products import CONVOLUTIONS
from qbench.bench.timing import Timing
from qbench.report.commands.columns import aligned


def bench_title(conditions: Conditions) -> str:
    """Return what the results were measured on: torch, kernels, threads, rounds, clock."""
    backend = cuda_ext.backends()[conditions.device]
    used = f"{conditions.isa} kernels" if backend.available else f"pure-torch references ({backend.reason})"
    threads = f"{conditions.threads} thread{'s' * (conditions.threads > 1)}"
    clock = ", processor time" if conditions.clock == "cpu" else ""
    return f"torch {torch.__version__}, {used}, {threads}, {conditions.rounds} interleaved rounds{clock}"


def bench_head(conditions: Conditions) -> str:
    """Return what the lines below it were measured on, and how to read them."""
    kept = "is kept for the next call" if conditions.freed_memory_kept else "is not kept, for this libc is no glibc"
    return (
        f"{bench_title(conditions)}\n"
        "Measured: time of a call (quartiles); GOPS, a multiply-add being 2 operations; share of the direct kernel's\n"
        "measured limit, above 100 % with the carry-save popcount; times as fast as torch fp32, median of the rounds'\n"
        f"ratios (quartiles); resident weights. Freed memory {kept}.\n"
        f"Limits measured on one core: {_limits(conditions)}."
    )


def _limits(conditions: Conditions) -> str:
    limits = (("direct kernel", conditions.peak_gops), ("carry-save popcount", conditions.carry_save_peak_gops))
    return ", ".join(f"{name} {gops:,.0f} GOPS" for name, gops in limits if gops is not None) or "none"


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


def totals_lines(results: Sequence[CaseResult]) -> list[str]:
    """Return each `conv-BATCH` case's sum over its layers: a line for each contestant; nothing without such a case."""
    lines: list[str] = []
    for case, group in groupby(layers_totals(results), key=lambda total: total.case):
        cells = [[total.name, f"{1e3 * total.seconds:.4g} ms", f"{total.ratio:.2f}×"] for total in group]
        lines += [f"\n{case}, all {len(CONVOLUTIONS)} layers", *("  " + line for line in aligned(cells, left=1))]
    return lines


def bench_dict(results: Sequence[CaseResult], conditions: Conditions) -> dict[str, Any]:
    """Return the run as plain values for JSON."""
    return {
        "torch": torch.__version__,
        "device": conditions.device,
        "backend": conditions.isa,
        "threads": conditions.threads,
        "rounds": conditions.rounds,
        "clock": conditions.clock,
        "peak_gops": conditions.peak_gops,
        "carry_save_peak_gops": conditions.carry_save_peak_gops,
        "freed_memory_kept": conditions.freed_memory_kept,
        "cases": [result.to_dict() for result in results],
        "totals": [asdict(total) for total in layers_totals(results)],
    }
