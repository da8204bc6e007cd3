"""`qbench export-onnx`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qbench.cli.options import Json, Plugins, Run
from qbench.cli.output import print_json


def export_onnx(
    run: Run,
    to: Annotated[Path, typer.Option(metavar="FILE", help="Where the network goes.", show_default=False)],
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Write a trained INT8 network as ONNX with QuantizeLinear and DequantizeLinear nodes.

    \b
    Example:
      qbench train --scheme int8-kl
      qbench export-onnx runs/train --to model.onnx

    Needs the package onnx: pip install 'qbench[onnx]'. Where onnxruntime is installed too, it runs the file over
    every test image, and the share of equal predictions is shown.
    """
    from qbench.trial.finished.find import find_record
    from qbench.trial.finished.onnx import export_onnx_trial

    made = export_onnx_trial(find_record(run), to)
    if as_json:
        print_json(made)
        return
    print(f"{to}: {made['file_bytes']:,} bytes, {made['nodes']} nodes, opset {made['opset']}")
    if made["agreement"] is None:
        print("not run: onnxruntime is not installed")
    else:
        print(f"{100 * made['agreement']:.2f} % of {made['images']} test images predicted alike by onnxruntime")
