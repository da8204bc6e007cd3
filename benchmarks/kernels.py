"""Times the bit-packed CPU kernels against torch.

    python benchmarks/kernels.py                        the cases of docs/kernels.md, 1 thread
    python benchmarks/kernels.py square-8192 --rounds 5
    python benchmarks/kernels.py conv-50 --threads 2 --json rows.json
    python benchmarks/kernels.py tall-1024 --path avx2
    python benchmarks/kernels.py square-8192 --only xnor

The clock is the wall's. On a machine that others use at the same time, `--clock cpu` counts the processor time of this
process instead, which is the wall's time on an idle machine where one thread runs.
"""

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path

import torch

import cuda_ext
from cuda_ext import benchmark

DEFAULT = ("tall-1024", "mlp-first-100", "mlp-hidden-1", "mlp-last-1", "cold-1", "conv-50", "conv-1", "mlp-100")


def line(row: benchmark.Timing) -> str:
    share = f"{100 * row.share_of_peak:5.1f} %" if row.share_of_peak is not None else "      -"
    low, high = (1e3 * s for s in row.quartiles)
    return (
        f"  {row.name:26} {1e3 * row.seconds:10.4f} ms [{low:.4f}, {high:.4f}]  {row.gops:8.1f} GOPS  {share}  "
        f"{row.ratio:6.2f}x [{row.ratio_quartiles[0]:.2f}, {row.ratio_quartiles[1]:.2f}]  "
        f"{row.weight_bytes / 2**20:9.3f} MiB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=DEFAULT, help="named sizes; default: " + " ".join(DEFAULT))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--path", choices=cuda_ext.available_isas()[:-1], help="force an instruction path")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--only", help="only the contestants whose name holds this, beside the baseline")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    path = cuda_ext.use_isa(arguments.path) if arguments.path else contextlib.nullcontext()
    rows = []
    kept = benchmark.keep_freed_memory()
    with path:
        peak = benchmark.peak_gops(clock)
        selected = arguments.path or cuda_ext.backends()["cpu"].selected
        print(f"torch {torch.__version__}, path {selected}, {arguments.threads} thread(s), {arguments.clock} clock")
        print(f"measured peak of the direct kernel's instructions: {peak or 0:.0f} GOPS a core")
        if by_carries := benchmark.peak_gops(clock, carries=True):
            print(f"measured peak of the instructions of products by carries: {by_carries:.0f} GOPS a core")
        print(f"freed memory kept for the next call: {'yes' if kept else 'no, not glibc'}")
        print("\ntime: median [quartiles]; share of the direct kernel's peak; ratio to torch fp32; resident weights\n")
        try:
            for name, contestants, operations in benchmark.cases(arguments.cases):
                print(name, flush=True)
                if arguments.only:
                    wanted = (benchmark.BASELINE, *(c for c in contestants if arguments.only in c))
                    contestants = {c: contestants[c] for c in wanted}
                for row in benchmark.compare(name, contestants, operations, arguments.rounds, peak, clock):
                    print(line(row), flush=True)
                    rows.append(row)
        except ValueError as error:
            sys.exit(f"kernels.py: {error}")
    convolutions = [r for r in rows if r.case.startswith("conv-")]
    for batch in dict.fromkeys(r.case.split()[0] for r in convolutions):
        total: dict[str, float] = {}
        for row in convolutions:
            if row.case.split()[0] == batch:
                total[row.name] = total.get(row.name, 0.0) + row.seconds
        print(f"{batch}, all five layers")
        for name, seconds in total.items():
            print(f"  {name:26} {1e3 * seconds:10.4f} ms  {total[benchmark.BASELINE] / seconds:6.2f}x")
    if arguments.json:
        facts = {"torch": torch.__version__, "path": selected, "threads": arguments.threads, "peak_gops": peak}
        facts |= {"carry_peak_gops": by_carries, "freed_memory_kept": kept}
        facts["clock"] = arguments.clock
        arguments.json.write_text(json.dumps({**facts, "rows": [benchmark.as_row(r) for r in rows]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
