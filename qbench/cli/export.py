"""`qbench export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qbench.cli.exit_codes import FAILED
from qbench.cli.options import Json, Plugins, Run
from qbench.cli.output import print_json


def export(
    run: Run,
    to: Annotated[Path, typer.Option(metavar="FILE", help="Where the packed network goes.", show_default=False)],
    real_input: Annotated[
        bool, typer.Option("--real-input", help="Keep the first layer's input float32 although the images are pixels.")
    ] = False,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Write a trained binary network as packed bits, and compare it with the module on every test image.

    \b
    Example:
      qbench train --scheme binarynet
      qbench export runs/train --to model.safetensors
      qbench export runs/binary_vs_int8/trials/<id>.json --to model.safetensors    (results.csv has the ids)

    BatchNorm becomes a threshold per channel, weights a bit each. Exit code 1 if a prediction differs.
    """
    from qbench.deploy.packed.file import save
    from qbench.report.commands.deploy import export_dict, export_text
    from qbench.trial.finished.find import find_record
    from qbench.trial.finished.packed import export_packed

    made = export_packed(find_record(run), real_input)
    save(made.model, to)
    if as_json:
        print_json(export_dict(made, to))
    else:
        print(export_text(made, to))
    if made.agreement < 1:
        raise typer.Exit(FAILED)
