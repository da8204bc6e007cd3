"""The report on a trial's integer layers."""

from __future__ import annotations

import json
from pathlib import Path

from torch import nn

from qbench.data.splits import Splits
from qbench.io import replacing
from qbench.nn.quant_layer import quant_layers
from qbench.ptq.quantization_report import report_quantization
from qbench.trial.resolved import ResolvedTrial


def write_layers(trial: ResolvedTrial, network: nn.Module, splits: Splits, folder: Path) -> None:
    """`folder/layers/<trial id>.json`: the report of a network whose layers are integers, on validation images."""
    if not any(
        quantizer is not None and quantizer.format.kind == "integer"
        for _, layer in quant_layers(network)
        for quantizer in (layer.weight_quantizer, layer.input_quantizer)
    ):
        return
    report = report_quantization(network, splits.validation.images, splits.validation.labels)
    path = folder / "layers" / f"{trial.trial_id}.json"
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(report.to_dict(), indent=1, allow_nan=False) + "\n")
