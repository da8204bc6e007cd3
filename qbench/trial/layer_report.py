"""The report on a trial's integer layers, as a file."""

from __future__ import annotations

import json
from pathlib import Path

from torch import nn

from qbench.data.splits import Splits
from qbench.io import replacing
from qbench.nn.quant_layer import quant_layers
from qbench.ptq.quantization_report import report_quantization
from qbench.trial.resolved import ResolvedTrial


def write_layer_report(trial: ResolvedTrial, network: nn.Module, splits: Splits, folder: Path) -> None:
    """Write `folder/layers/<trial id>.json`, of a network with integer weights or inputs; nothing of another one.

    The layers are reported on the validation images (see `report_quantization`).
    """
    if not _has_integers(network):
        return
    report = report_quantization(network, splits.validation.images, splits.validation.labels)
    path = folder / "layers" / f"{trial.trial_id}.json"
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(report.to_dict(), indent=1, allow_nan=False) + "\n")


def _has_integers(network: nn.Module) -> bool:
    quantizers = (
        quantizer for _, layer in quant_layers(network) for quantizer in (layer.weight_quantizer, layer.input_quantizer)
    )
    return any(quantizer is not None and quantizer.format.kind == "integer" for quantizer in quantizers)
