"""Options and arguments that several commands have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class DeviceName(StrEnum):
    """Where packed networks run."""

    cpu = "cpu"
    cuda = "cuda"


SweepFile = Annotated[
    Path, typer.Argument(metavar="FILE", help="A sweep file: wandb's YAML format.", show_default=False)
]
Run = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A result of `qbench train` or `qbench sweep`: its trials/<id>.json, or its folder if it holds one trial.",
        show_default=False,
    ),
]
SchemeName = Annotated[
    str,
    typer.Option(metavar="NAME", help="One of `qbench ls schemes`, or a dotted path to a Scheme.", show_default=False),
]
Device = Annotated[DeviceName, typer.Option(help="Where it runs.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output; progress stays on standard error.")]
