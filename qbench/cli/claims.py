"""`qbench claims`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from qbench.cli.options import Json
from qbench.cli.output import print_json


def claims(
    run: Annotated[bool, typer.Option("--run", help="Measure what this machine can; some minutes.")] = False,
    only: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="This claim alone; may be repeated.", show_default="all")
    ] = None,
    record: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN_FOLDER", help="First keep this sweep's results so far; may be repeated."),
    ] = None,
    sweep_file: Annotated[
        Path | None,
        typer.Option(
            "--sweep", metavar="FILE", help="With --record: the sweep's file.", show_default="sweeps/<folder>.yaml"
        ),
    ] = None,
    note: Annotated[
        str,
        typer.Option(metavar="TEXT", help="With --record: a line that is shown with its metrics.", show_default="none"),
    ] = "",
    store: Annotated[bool, typer.Option("--store", help="With --run: keep the measurements as well.")] = False,
    results: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where stored results are.",
            show_default="docs/results of a checkout; an installed package has none",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print every figure of the papers beside this project's: computed, stored, or measured with --run.

    \b
    Example:
      qbench claims
      qbench claims --run --only memory-file --only stochastic-slow
      qbench claims --record runs/paper_mnist_short
      qbench claims --record runs/paper_cifar10 --note "98 images decoded from JPEG"
      qbench claims --run --store

    What the verdicts mean: docs/claims.md. Record a sweep on the machine that ran it, whose processor
    and versions are noted, before the sources change.
    """
    _check_together(run, record, sweep_file, note, store)

    from qbench.claims.registry import chosen
    from qbench.claims.run import measure_claims, record_sweeps
    from qbench.claims.stored import default_results_folder, load_results
    from qbench.claims.table import make_rows
    from qbench.claims.text import claims_text
    from qbench.report.commands.steps import steps_on

    wanted = chosen(only or [])
    record_sweeps(record or [], sweep_file, note, results, _say)
    stored = load_results(results or default_results_folder())
    measured = {}
    if run:
        with steps_on(sys.stderr) as steps:
            measured = measure_claims(wanted, results, store, steps)
    rows = make_rows(wanted, stored, measured)
    if as_json:
        print_json([row.to_dict() for row in rows])
    else:
        print(claims_text(rows))


def _check_together(run: bool, record: list[Path] | None, sweep_file: Path | None, note: str, store: bool) -> None:
    """Raise a UserError where an option lacks the one that it belongs to."""
    from qbench.errors import UserError

    if store and not run:
        raise UserError("--store keeps what --run measures: give both")
    if sweep_file is not None and not record:
        raise UserError("--sweep names the file of a sweep that is recorded: give --record as well")
    if note and not record:
        raise UserError("--note is kept with a sweep that is recorded: give --record as well")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
