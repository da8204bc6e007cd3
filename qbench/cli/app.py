"""The command `qbench`: its commands, one from each file of this folder.

Imports of the library stand inside the commands: torch, Lightning and wandb take seconds, for which neither `--help`
nor a mistyped file name should wait.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from qbench.cli.bench import kernels
from qbench.cli.calibrate import calibrate
from qbench.cli.check_network import check_network
from qbench.cli.check_quantizer import check_quantizer
from qbench.cli.claims import claims
from qbench.cli.compare import compare
from qbench.cli.doctor import doctor
from qbench.cli.estimate import estimate
from qbench.cli.export import export
from qbench.cli.export_onnx import export_onnx
from qbench.cli.group import Commands
from qbench.cli.ls import ls
from qbench.cli.report import report
from qbench.cli.run_packed import run_packed
from qbench.cli.show import show
from qbench.cli.sweep import sweep
from qbench.cli.train import train
from qbench.cli.validate import validate
from qbench.sweep.importable import make_importable

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help, the same in a terminal and a pipe
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="""Compare number formats for neural networks on the same data, budget and seeds.

    \b
    Start here:
      qbench sweep sweeps/binary_vs_int8.yaml    seven schemes, five seeds each, on handwritten digits

    Exit codes: 0 done; 1 a trial failed (the rest finished), packed predictions differ, a network or a
    quantizer is wrong; 2 bad input, nothing written; 130 interrupted, what is done is kept.
    """,
)
bench = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Time kernels and networks on this machine.\n\n\b\nExample:\n  qbench bench kernels --threads 1",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"qbench {version('qbench')}")
        raise typer.Exit


@app.callback()
def _set_up(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    # A sweep finds its plug-ins beside its file, here as in its worker processes.
    if context.invoked_subcommand not in ("sweep", "validate"):
        make_importable(Path.cwd())


# In the order of `qbench --help`; a short help stands where the docstring's first line is too long for it.
app.command()(sweep)
app.command(short_help="Print the table of a sweep that has run.")(show)
app.command(short_help="Write a sweep's results as a page, tables or pictures.")(report)
app.command(short_help="Say how two groups differ, or what equal accuracy costs.")(compare)
app.command()(validate)
app.command()(train)
app.command(short_help="Print a network's memory, operations, energy; train nothing.")(estimate)
app.command(short_help="Compare networks under schemes with a float64 computation.")(check_network)
app.command(short_help="Check that what quantizers test, pack and count agrees.")(check_quantizer)
app.command()(ls)
app.command(short_help="Write a trained binary network as packed bits.")(export)
app.command(short_help="Run a packed network: accuracy and images per second.")(run_packed)
app.command(short_help="Print what this machine runs, for a bug report.")(doctor)
app.command(short_help="Calibrate a trained float32 network for INT8.")(calibrate)
app.command(short_help="Write a trained INT8 network as ONNX.")(export_onnx)
app.command(short_help="Print the papers' figures beside this project's.")(claims)
app.add_typer(bench, name="bench")
bench.command(short_help="Time packed products and networks beside torch's.")(kernels)


def main() -> None:
    """Run the command, and leave the process with its exit code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open as long as the process
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # `×` and `µ` in a terminal without them must not end the sweep
    app()
