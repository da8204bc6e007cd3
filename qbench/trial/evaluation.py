"""A trained network's figures: accuracy, packed execution, costs, and the report on its layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import cuda_ext
from qbench.cost.estimate import estimate_network
from qbench.data.splits import Splits
from qbench.deploy.chain import UnsupportedStructureError
from qbench.deploy.int8.agreement import agreement
from qbench.errors import TrainingError
from qbench.nn.quant_layer import quant_layers
from qbench.nn.trace import trace
from qbench.training.accuracy import predict, share
from qbench.training.module import QuantModule
from qbench.training.result import TrainingResult
from qbench.trial.resolved import ResolvedTrial
from qbench.trial.result import TrialResult
from quantizers import Quantizer


@torch.no_grad()
def packed_predictions(network: nn.Module, images: Tensor) -> tuple[Tensor, list[str]] | None:
    """Predictions of packed execution, and the names of its ops; None where no layer runs packed."""
    layers = trace(network, tuple(images.shape[1:]))
    try:
        ops = [traced.layer.pack(traced.layer_shape) for traced in layers]
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


def evaluate(trial: ResolvedTrial, module: QuantModule, splits: Splits, trained: TrainingResult) -> TrialResult:
    network, test = module.model, splits.test
    predictions = predict(network, test.images)
    validation = predict(network, splits.validation.images)
    float_network = None
    if trial.scheme.folds_batch_norm:
        with torch.random.fork_rng(devices=[]):
            float_network = trial.model.make(trial.config.model_options)
    figures: dict[str, Any] = {
        "test/accuracy": share(predictions == test.labels),
        "val/accuracy": share(validation == splits.validation.labels),
        **_execution_figures(network, test.images, predictions),
        "time/train_s": trained.seconds,
        "time/epochs_per_s": trial.epochs / trained.seconds,
        "training/epochs": trial.epochs,
        "training/best_epoch": trained.epoch,
        "training/loss": trained.loss,
        "training/loop": trained.loop,
        "training/learning_rate_start": module.learning_rate,
        "training/learning_rate_end": module.rate_after(trial.epochs),
        **estimate_network(
            network,
            trial.model.input_shape,
            float_network=float_network,
            optimizer_moments=trial.scheme.recipe.optimizer_moments,
        ).metrics(trial.config.batch_size),
    }
    identity = {
        "trial_id": trial.trial_id,
        "training_key": trial.training_key,
        "shared": trained.shared,
    }
    return TrialResult(trial.config.flat() | identity | figures, predictions.tolist(), test.labels.tolist())


def _execution_figures(network: nn.Module, images: Tensor, predictions: Tensor) -> dict[str, Any]:
    """What runs other than in float32, and how far it agrees with fake-quantized evaluation.

    The chain in integers where the network has one; else layer by layer through the QuantOps, in float between them.
    """
    packed = packed_predictions(network, images)
    figures: dict[str, Any] = {
        "kernel/agreement": None if packed is None else share(packed[0] == predictions),
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
