"""`qbench check-network`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from qbench.cli.options import Json, Plugins
from qbench.cli.output import print_json


def check_network(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="One of `qbench ls models`, a dotted path to a Model, or a row of the matrix.",
            show_default="every row of the matrix",
        ),
    ] = None,
    schemes: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Schemes, with commas between them.", show_default="the matrix's eight"),
    ] = None,
    allow_float: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Modules whose arithmetic may stay float32; may be repeated.",
            show_default="none, then what the matrix lists",
        ),
    ] = None,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Compare networks under schemes with an independent computation in float64.

    Each is right, refused by an error that names a layer, or wrong; what that means: docs/networks.md. Exits with 1
    where something is wrong.

    \b
    Example:
      qbench check-network
      qbench check-network cifar10-resnet18 --schemes binarynet,int8-kl
      qbench check-network lstm_classifier --allow-float lstm --json
    """
    from qbench.conformance.matrix import SCHEMES, make_matrix
    from qbench.conformance.subjects import SUBJECTS, get_subject
    from qbench.conformance.text import matrix_text

    chosen = SUBJECTS if model is None else (get_subject(model),)
    names = [name.strip() for name in schemes.split(",")] if schemes else SCHEMES
    cells = make_matrix(chosen, names, allow_float, lambda cell: _say(f"{cell.network}, {cell.scheme}: {cell.verdict}"))
    if as_json:
        print_json([cell.to_dict() for cell in cells])
    else:
        print(matrix_text(cells))
    if any(cell.verdict == "wrong" for cell in cells):
        raise typer.Exit(1)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
