"""`qbench run-packed`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qbench.cli.options import Device, DeviceName, Json, Plugins
from qbench.cli.output import print_json


def run_packed(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `qbench export` wrote.", show_default=False)],
    data: Annotated[
        str | None, typer.Option(metavar="NAME", help="One of `qbench ls data`.", show_default="that of training")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Compare with the module of this run, named as for `qbench export`."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, metavar="N", help="Images at a time.")] = 100,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="CPU threads.")] = 1,
    device: Device = DeviceName.cpu,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Run a packed network over the test images: accuracy, images per second, the backend that ran it.

    \b
    Example:
      qbench run-packed model.safetensors
      qbench run-packed model.safetensors --against runs/train --batch 1
    """
    from qbench.bench.machine import prepare
    from qbench.bench.packed import measure_packed
    from qbench.deploy.packed.file import load
    from qbench.report.commands.deploy import measured_text
    from qbench.trial.finished.find import find_record

    prepare(device.value, threads)
    network = load(file, device.value)
    found = measure_packed(network, data, None if against is None else find_record(against), batch)
    if as_json:
        print_json({"file": str(file), **found.to_dict()})
    else:
        print(measured_text(found))
