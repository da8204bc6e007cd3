"""Post-training calibration of a trial's network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from qbench.data.splits import Splits
from qbench.io import load_tensors, save_tensors
from qbench.ptq import calibration
from qbench.ptq.bias_correction import correct_biases
from qbench.ptq.calibration import calibration_images
from qbench.schemes.scheme import Scheme
from qbench.trial.identity import digest
from qbench.trial.resolved import ResolvedTrial

# Options of quantizers that decide what follows from the statistics; `rule` is what `method` was called before.
_METHOD_OPTIONS = ("method", "method_options", "rule", "rule_options", "power_of_two")


def calibrate_trial(trial: ResolvedTrial, network: nn.Module, splits: Splits, store: Path) -> None:
    """Calibrate a network, and correct its biases where the scheme says so.

    The statistics are kept beside the training: trials whose schemes observe the same network in the same way, and
    differ in the calibration method, share one pass over the images.

    Args:
        trial: of a scheme with a post-training part.
        network: quantized, not calibrated.
        splits: the trial's data; calibration takes training images.
        store: the training's folder, which keeps the statistics as `calibration-<key>.safetensors`.
    """
    config, steps = trial.config, trial.scheme.post_training
    assert steps is not None
    images = calibration_images(splits, config.calibration_images, config.split_seed).images
    observers = calibration.observer_settings(network)
    key = digest(config.calibration_images, config.split_seed, _observed_network(trial.scheme), observers)
    path = store / f"calibration-{key}.safetensors"
    if not calibration.can_share_statistics(network):
        calibration.observe(network, images)
    elif path.exists():
        calibration.load_statistics(network, load_tensors(path))
    else:
        calibration.observe(network, images)
        save_tensors(calibration.statistics(network), path)
    calibration.freeze(network, steps.clip_outliers, images[:1])
    if steps.bias_correction:
        network.eval()
        correct_biases(network, images)
    calibration.round_biases(network)


def _observed_network(scheme: Scheme) -> dict[str, Any]:
    """Return all of a scheme that shapes what calibration observes: not its names, nor the methods that come after."""
    return {key: _without_methods(value) for key, value in scheme.settings().items()}


def _without_methods(value: Any) -> Any:
    """Return plain values without `_METHOD_OPTIONS`, at any depth."""
    if not isinstance(value, dict):
        return value
    return {key: _without_methods(each) for key, each in value.items() if key not in _METHOD_OPTIONS}
