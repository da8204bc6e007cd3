"""A trained network's figures: accuracy, packed execution, costs, and the report on its layers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import cuda_ext
from qbench.blocks import UnsupportedStructureError
from qbench.data import Splits
from qbench.data.datamodule import EVALUATION_BATCH
from qbench.errors import TrainingError
from qbench.estimate import estimate_network
from qbench.files import replacing
from qbench.integer import agreement
from qbench.layer_report import report_layers
from qbench.layers import quant_layers
from qbench.module import QuantModule
from qbench.parts import Parts, training_key, trial_id
from qbench.trace import trace
from qbench.trained import Trained
from quantizers import Quantizer


@dataclass(frozen=True)
class TrialResult:
    """A trial's figures.

    Attributes:
        row: configuration keys, `trial_id`, `training_key`, `shared` and the figures, one level, plain values.
        predictions: the predicted class of each test image, in the split's order.
        labels: the true ones.
    """

    row: dict[str, Any]
    predictions: list[int]
    labels: list[int]


@torch.no_grad()
def predict(network: nn.Module, images: Tensor) -> Tensor:
    """Predicted classes, int64 [N], of an evaluating network."""
    return torch.cat([network(batch).argmax(1) for batch in images.split(EVALUATION_BATCH)])


@torch.no_grad()
def packed_predictions(network: nn.Module, images: Tensor) -> tuple[Tensor, list[str]] | None:
    """Predictions of packed execution, and the names of its ops; None where no layer runs packed."""
    layers = trace(network, tuple(images.shape[1:]))
    try:
        ops = [traced.layer.pack(traced.geometry) for traced in layers]
        if not any(op.packs for op in ops):
            return None
        return predict(network, images), [op.name for op in ops]
    finally:
        for _, layer in quant_layers(network):
            layer.unpack()


def check_ready(network: nn.Module) -> None:
    """What is not calibrated passes float values on, and would be reported at the cost of integers."""
    waiting = [name for name, q in network.named_modules() if isinstance(q, Quantizer) and not q.is_ready]
    if waiting:
        raise TrainingError(f"{waiting[0]} was never calibrated: its figures would be those of float values")


def evaluate(parts: Parts, module: QuantModule, splits: Splits, trained: Trained) -> TrialResult:
    network, test = module.model, splits.test
    predictions = predict(network, test.images)
    validation = predict(network, splits.validation.images)
    float_network = None
    if parts.scheme.fold_batch_norm:
        with torch.random.fork_rng(devices=[]):
            float_network = parts.model.make(parts.config.model_options)
    figures: dict[str, Any] = {
        "test/accuracy": _share(predictions == test.labels),
        "val/accuracy": _share(validation == splits.validation.labels),
        **_execution_figures(network, test.images, predictions),
        "time/train_s": trained.seconds,
        "time/epochs_per_s": parts.epochs / trained.seconds,
        "training/epochs": parts.epochs,
        "training/best_epoch": trained.epoch,
        "training/loss": trained.loss,
        "training/learning_rate_start": module.learning_rate,
        "training/learning_rate_end": module.rate_after(parts.epochs),
        **estimate_network(
            network,
            parts.model.input_shape,
            float_network=float_network,
            optimizer_moments=parts.scheme.optimizer_moments,
        ).figures(parts.config.batch_size),
    }
    identity = {
        "trial_id": trial_id(parts.config),
        "training_key": training_key(parts.config),
        "shared": trained.shared,
    }
    return TrialResult(parts.config.flat() | identity | figures, predictions.tolist(), test.labels.tolist())


def write_layers(parts: Parts, network: nn.Module, splits: Splits, folder: Path) -> None:
    """`folder/layers/<trial id>.json`: the report of a network whose layers are integers, on validation images."""
    if not any(
        quantizer is not None and quantizer.format.kind == "integer"
        for _, layer in quant_layers(network)
        for quantizer in (layer.weight_quantizer, layer.input_quantizer)
    ):
        return
    report = report_layers(network, splits.validation.images, splits.validation.labels)
    path = folder / "layers" / f"{trial_id(parts.config)}.json"
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(report.to_dict(), indent=1, allow_nan=False) + "\n")


def _execution_figures(network: nn.Module, images: Tensor, predictions: Tensor) -> dict[str, Any]:
    """What runs other than in float32, and how far it agrees with fake-quantized evaluation.

    The chain in integers where the network has one; else layer by layer through the QuantOps, in float between them.
    """
    packed = packed_predictions(network, images)
    figures: dict[str, Any] = {
        "kernel/agreement": None if packed is None else _share(packed[0] == predictions),
        "kernel/execution": None if packed is None else "layers",
        "kernel/ops": None if packed is None else " ".join(packed[1]),
        "int8/equal_outputs": None,
        "int8/within_one": None,
        "int8/no_chain": None,
        "kernel/backend": None if packed is None else cuda_ext.backends()["cpu"].selected,
    }
    if packed is None or "int8" not in packed[1]:
        return figures
    try:
        found = agreement(network, images)
    except UnsupportedStructureError as error:
        return figures | {"int8/no_chain": str(error)}
    return figures | {
        "kernel/agreement": found.predictions,
        "kernel/execution": "integer chain",
        "int8/equal_outputs": found.equal_outputs,
        "int8/within_one": found.within_one,
    }


def _share(equal: Tensor) -> float:
    return int(equal.sum()) / len(equal)
