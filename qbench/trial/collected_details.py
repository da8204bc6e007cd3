"""A finished trial's details, collected from its training, its network and its costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import Tensor, nn

from qbench.cost.estimate import Estimate
from qbench.cost.frequent_filters import frequent_filters
from qbench.cost.layer_energy import layer_rows
from qbench.data.splits import Splits
from qbench.io import finite
from qbench.nn.quant_layer import QuantLayer, quant_layers
from qbench.ptq.calibrated_range import calibrated_range
from qbench.ptq.calibration import calibration_indices
from qbench.ptq.quantization_report import IMAGES, report_quantization
from qbench.schemes.placed_quantizers import placed_quantizers
from qbench.training.result import TrainingResult
from qbench.trial.details import Rows, TrialDetails
from qbench.trial.resolved import ResolvedTrial
from quantizers import BINARY

_BINS = 64
_DIGITS = 6
_FIRST = ("epoch", "train/loss", "val/accuracy")


def collect_details(
    trial: ResolvedTrial, network: nn.Module, splits: Splits, trained: TrainingResult, costs: Estimate
) -> TrialDetails:
    """Return what reports show of a trial beyond its row; nothing that the row is made of changes.

    Floats are rounded to 6 significant digits, so that files stay small.

    Args:
        trial: what was run.
        network: as evaluation ran it, on the CPU, with the quantizers that this process has calibrated.
        splits: the trial's data; layers are reported on validation images (see `report_quantization`).
        trained: how the training went.
        costs: of the network.
    """
    parts = {
        "history": history_columns(trained.history),
        "layers": layer_rows(costs.cost, costs.energy),
        "latent": latent_histograms(network),
        "filters": filter_rows(network, costs),
        "quantization": _quantization(network, splits),
        "ranges": _ranges(trial, network),
        "calibration": _calibration(trial, splits),
    }
    return TrialDetails(**{key: rounded(part) for key, part in parts.items()})


def rounded(value: Any) -> Any:
    """Return plain values with every float, at any depth, rounded to 6 significant digits."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def history_columns(epochs: Sequence[Mapping[str, float]]) -> dict[str, list[float | None]]:
    """Return a training's epochs as a list for each metric; None where an epoch has no value, or no finite one.

    `epoch` counts from 1 here.
    """
    logged = dict.fromkeys(name for epoch in epochs for name in epoch)
    names = [*(name for name in _FIRST if name in logged), *(name for name in logged if name not in _FIRST)]
    columns = {name: [finite(epoch.get(name)) for epoch in epochs] for name in names}
    if epochs:
        columns["epoch"] = [float(number) for number in range(1, len(epochs) + 1)]
    return columns


def latent_histograms(network: nn.Module) -> Rows:
    """Return the histogram of the latent weights of each layer with binary weights, in 64 equal bins.

    They reach from -clip to clip where the quantizer clips latent weights and none lies beyond, else from the smallest
    to the largest weight (of equal weights, half a unit to either side).
    """
    return [
        {"layer": name, **_histogram(layer)}
        for name, layer in quant_layers(network)
        if layer.weight_quantizer is not None and layer.weight_quantizer.format == BINARY
    ]


def _histogram(layer: QuantLayer) -> dict[str, Any]:
    weights = layer.weight.detach().double().numpy().ravel()
    low, high = float(weights.min()), float(weights.max())
    clip = getattr(layer.weight_quantizer, "clip", None)
    if clip is not None and -clip <= low and high <= clip:
        low, high = -float(clip), float(clip)
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, _ = np.histogram(weights, bins=_BINS, range=(low, high))
    return {"low": low, "high": high, "counts": counts.tolist()}


def filter_rows(network: nn.Module, costs: Estimate) -> Rows:
    """Return the repetition of the filters of each binary convolution, and its most repeated filters."""
    if costs.filters is None:
        return []
    layers = dict(quant_layers(network))
    return [
        {
            "layer": name,
            **asdict(repetition),
            "unique_fraction": repetition.unique_fraction,
            "random_fraction": repetition.random_fraction,
            "most": [asdict(each) for each in frequent_filters(_codes(layers[name]))],
        }
        for name, repetition in costs.filters.layers
    ]


def _codes(layer: QuantLayer) -> Tensor:
    return layer.quantized_weight().codes


def _quantization(network: nn.Module, splits: Splits) -> dict[str, Any]:
    """Return the report on the layers of a network with weights or inputs of several bits; nothing of another one."""
    if not any(each.format.kind in ("integer", "odd", "table") for _, _, _, each in placed_quantizers(network)):
        return {}
    some = splits.validation.first(IMAGES)
    return report_quantization(network, some.images, some.labels).to_dict()


def _ranges(trial: ResolvedTrial, network: nn.Module) -> Rows:
    """Return what calibration observed of each input, and chose; nothing of a scheme that calibrates none."""
    if trial.scheme.post_training is None:
        return []
    found = [
        calibrated_range(name, layer.input_quantizer)
        for name, layer in quant_layers(network)
        if layer.input_quantizer is not None
    ]
    return [each for each in found if each is not None]


def _calibration(trial: ResolvedTrial, splits: Splits) -> dict[str, Any]:
    """Return which training images calibration saw."""
    if trial.scheme.post_training is None:
        return {}
    count, seed = trial.config.calibration_images, trial.config.split_seed
    places = calibration_indices(splits, count, seed)
    return {"seed": seed, "images": count, "indices": list(range(count)) if places is None else places.tolist()}
