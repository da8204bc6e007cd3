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


def _load(plugins: list[str] | None) -> list[str] | None:
    # While the command line is read, so that a command finds every name that it looks up. Nothing is loaded by --help.
    if plugins:
        from qbench.errors import ConfigError
        from qbench.sweep.plug_ins import load_plugins

        try:
            load_plugins(plugins, Path.cwd())
        except ConfigError as error:
            raise error.within(prefix="--plugin") from None
    return plugins


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
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="FILE|MODULE",
        callback=_load,
        help="A file of yours, or a module, whose names are then known; may be repeated. See docs/extending.md.",
        show_default=False,
    ),
]
