"""`qbench calibrate`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from qbench.cli.options import Json, Plugins, Run
from qbench.cli.output import print_json


def calibrate(
    run: Run,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            "--rule",  # the earlier name
            metavar="NAME",
            help="Calibration method of the activations: minmax, mean_extremes, percentile, mse or kl.",
        ),
    ] = "kl",
    compare: Annotated[bool, typer.Option("--compare", help="All methods, on several calibration sets.")] = False,
    images: Annotated[int, typer.Option(min=1, metavar="N", help="Training images of a calibration set.")] = 512,
    sets: Annotated[int, typer.Option(min=1, metavar="N", help="Calibration sets of --compare.")] = 5,
    bits: Annotated[int, typer.Option(min=2, max=8, metavar="N", help="Of an activation.")] = 8,
    weight_bits: Annotated[int, typer.Option(min=2, max=8, metavar="N", help="Of a weight.")] = 8,
    plugin: Plugins = None,
    as_json: Json = False,
) -> None:
    """Calibrate a trained float32 network; show its layers under one calibration method, or compare all methods.

    \b
    Example:
      qbench train --scheme fp32
      qbench calibrate runs/train --method kl
      qbench calibrate runs/train --compare --bits 4

    Any trial whose training was in float32 will do. Nothing is written.
    """
    from qbench.report.commands.calibration import layers_text, methods_text
    from qbench.report.commands.steps import steps_on
    from qbench.trial.finished.calibration import compare_trial, report_calibrated_trial
    from qbench.trial.finished.find import find_record

    found = find_record(run)
    setting = f"{bits}-bit activations, {weight_bits}-bit weights, {images} images"
    if compare:
        with steps_on(sys.stderr) as steps:
            results = compare_trial(found, images=images, sets=sets, bits=bits, weight_bits=weight_bits, on_step=steps)
        if as_json:
            print_json([each.to_dict() for each in results])
        else:
            print(methods_text(results, setting))
        return
    report = report_calibrated_trial(found, method, images=images, bits=bits, weight_bits=weight_bits)
    if as_json:
        print_json(report.to_dict())
    else:
        print(layers_text(report, f"{method}, {setting}"))
