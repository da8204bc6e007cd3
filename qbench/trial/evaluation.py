"""The metrics of a trained network: accuracy, packed execution, training, costs."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

import cuda_ext
from qbench.cost.estimate import Estimate, estimate_network
from qbench.data.splits import Part, Splits
from qbench.deploy.chain import UnsupportedStructureError
from qbench.deploy.int8.agreement import agreement
from qbench.errors import TrainingError
from qbench.nn.packing import packed
from qbench.training.accuracy import Predictions, accuracy, predictions_on
from qbench.training.result import TrainingResult
from qbench.training.scheme_module import SchemeModule
from qbench.trial.checked_evaluation import checking_evaluation
from qbench.trial.latency import measure_latency
from qbench.trial.negative_inputs import counting_negative_inputs
from qbench.trial.resolved import ResolvedTrial
from qbench.trial.result import TrialResult
from qbench.trial.training_metrics import training_metrics
from quantizers import Quantizer

_SHAPES = 2  # images that tell in which shapes layers run


def evaluate(
    trial: ResolvedTrial, module: SchemeModule, splits: Splits, trained: TrainingResult, costs: Estimate
) -> TrialResult:
    """Return the row and the predictions of a trial whose network is trained and, if it has to be, calibrated.

    Args:
        trial: what was trained.
        module: with the weights of the best epoch, in evaluation mode, on the CPU.
        splits: the trial's data.
        trained: how the training went.
        costs: what `estimate_costs` returns.

    Raises:
        TrainingError: a quantizer gives other values than it packs; see `checking_evaluation`.
    """
    network, test, validation = module.model, splits.test, splits.validation
    with checking_evaluation(network):
        with counting_negative_inputs(network) as negative:
            predictions = predictions_on(network, test, trial.dataset.classes)
        validated = accuracy(network, validation)
    execution = _execution_metrics(network, test, predictions)
    metrics = {
        "test/accuracy": predictions.accuracy,
        "val/accuracy": validated,
        **execution,
        "int8/negative_inputs": sum(negative.values()) if negative else None,
        **measure_latency(network, test.first(1).images, execution["kernel/execution"]),
        **training_metrics(trained, trial.epochs),
        **costs.metrics(trial.config.batch_size),
    }
    identity = {"trial_id": trial.trial_id, "training_key": trial.training_key, "shared": trained.shared}
    return TrialResult(
        trial.config.flat() | identity | metrics, predictions.classes.tolist(), predictions.labels.tolist()
    )


def check_ready(network: nn.Module) -> None:
    """Refuse what was not calibrated: it passes float values on, and would be reported at the cost of integers.

    Raises:
        TrainingError: a quantizer still waits for calibration.
    """
    waiting = [name for name, q in network.named_modules() if isinstance(q, Quantizer) and not q.is_ready]
    if waiting:
        raise TrainingError(f"{waiting[0]} was never calibrated: its metrics would be those of float values")


def estimate_costs(trial: ResolvedTrial, network: nn.Module) -> Estimate:
    """Return the costs of the network as evaluation runs it; filters are compared in the weights as they are."""
    float_network = None
    if trial.scheme.folds_batch_norm:
        with torch.random.fork_rng(devices=[]):
            float_network = trial.model.make(trial.config.model_options)
    return estimate_network(
        network,
        trial.model.input_shape,
        float_network=float_network,
        optimizer_moments=trial.scheme.recipe.optimizer_moments,
    )


def _execution_metrics(network: nn.Module, test: Part, predictions: Predictions) -> dict[str, Any]:
    """Return what runs other than in float32, and how far it agrees with fake-quantized evaluation.

    A network with integer layers runs as a chain in integers, if it is one. Any other runs layer by layer through the
    QuantOps, with float32 between them. Where no layer is packed, every value is None.
    """
    metrics: dict[str, Any] = dict.fromkeys(
        (
            "kernel/agreement",
            "kernel/execution",
            "kernel/ops",
            "int8/equal_outputs",
            "int8/within_one",
            "int8/no_chain",
            "kernel/backend",
        )
    )
    packed = packed_predictions(network, test)
    if packed is None:
        return metrics
    found, ops = packed
    metrics |= {
        "kernel/agreement": found.agreement(predictions),
        "kernel/execution": "layers",
        "kernel/ops": " ".join(ops),
        "kernel/backend": cuda_ext.backends()["cpu"].selected,
    }
    return metrics | _chain_metrics(network, test) if "int8" in ops else metrics


def _chain_metrics(network: nn.Module, test: Part) -> dict[str, Any]:
    """Return the agreement of the integer chain, or why the network is none."""
    try:
        found = agreement(network, (images for images, _ in test.batches()))
    except UnsupportedStructureError as error:
        return {"int8/no_chain": str(error)}
    return {
        "kernel/agreement": found.predictions,
        "kernel/execution": "integer chain",
        "int8/equal_outputs": found.equal_outputs,
        "int8/within_one": found.within_one,
    }


@torch.no_grad()
def packed_predictions(network: nn.Module, part: Part) -> tuple[Predictions, list[str]] | None:
    """Return the predictions of packed execution and the names of its ops; None where no layer runs packed.

    The network is unpacked again afterwards.

    Raises:
        UserError: a layer that runs in two shapes, for which different ops are chosen.
    """
    with packed(network, part.first(_SHAPES).images) as ops:
        if not any(op.packs for op in ops.values()):
            return None
        return predictions_on(network, part), [op.name for op in ops.values()]
