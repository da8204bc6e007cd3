"""`qbench bench kernels`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from qbench.cli.exit_codes import FAILED
from qbench.cli.options import Device, DeviceName, Json
from qbench.cli.output import print_json


class ClockName(StrEnum):
    """What time is counted."""

    wall = "wall"
    cpu = "cpu"


ClockOption = Annotated[ClockName, typer.Option(help="The wall's time, or this process's time on the processors.")]
Isa = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Run the CPU's kernels on this ISA.", show_default="the best of this CPU"),
]
Only = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Time torch fp32 and the contestants whose name holds TEXT.", show_default="all"),
]


def kernels(
    cases: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CASE", help="Sizes or networks; --list names them.", show_default="some that take minutes"
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="CPU threads, for every contestant.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, metavar="N", help="Interleaved rounds.")] = 9,
    device: Device = DeviceName.cpu,
    clock: ClockOption = ClockName.wall,
    isa: Isa = None,
    only: Only = None,
    list_cases: Annotated[bool, typer.Option("--list", help="Name the cases and stop.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Also draw the ratios to torch fp32, as SVG.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Time bit-packed products, and whole packed networks, beside torch in the same rounds.

    \b
    Example:
      qbench bench kernels
      qbench bench kernels mlp-hidden-100 mnist-mlp-100 cifar10-convnet-50 --threads 2
      qbench bench kernels square-8192 --rounds 5 --json
      qbench bench kernels --plot kernels.svg
      qbench bench kernels tall-1024 --isa avx2 --only xnor --clock cpu

    A time is the median over the rounds with its quartiles; a ratio is the median of the rounds' own ratios.
    Networks have random weights; before they are timed, their packed and fake-quantized predictions are compared.
    """
    from qbench.bench.cases import CASES, DEFAULT, bench_cases
    from qbench.bench.machine import prepare
    from qbench.report.commands.bench import bench_dict, bench_head, bench_lines, bench_title, totals_lines
    from qbench.report.commands.bench_plot import bench_svg, plot_file
    from qbench.report.commands.steps import steps_on

    if list_cases:
        _print_names(CASES, as_json)
        return
    target = plot_file(plot) if plot else None
    prepare(device.value, threads)
    steps = steps_on(sys.stderr)
    names = cases or list(DEFAULT)
    benchmark = bench_cases(names, rounds, device.value, clock=clock.value, isa=isa, only=only, on_case=steps)
    if not as_json:
        print(bench_head(benchmark.conditions), flush=True)
    shown = []
    with steps:
        for result in benchmark:
            shown.append(result)
            if not as_json:
                print("\n".join(bench_lines(result)), flush=True)
    if as_json:
        print_json(bench_dict(shown, benchmark.conditions))
    else:
        for line in totals_lines(shown):
            print(line)
    if target is not None:
        target.write_text(bench_svg(shown, bench_title(benchmark.conditions)), encoding="utf-8")
    if any(result.agreement not in (None, 1.0) for result in shown):
        raise typer.Exit(FAILED)


def _print_names(names: Sequence[str], as_json: bool) -> None:
    if as_json:
        print_json(list(names))
    else:
        print("\n".join(names))
