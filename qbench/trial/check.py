"""Finds configurations that could not be run, before anything is trained."""

from __future__ import annotations

import torch

from qbench.errors import ConfigError
from qbench.nn.quant_layer import quant_layers
from qbench.ptq.calibration import check_calibration_images
from qbench.schemes.quantization import Role
from qbench.schemes.structure import check_structure
from qbench.training.overrides import overrides
from qbench.training.scheme_module import SchemeModule
from qbench.trial.contract import check_contract
from qbench.trial.data_identity import training_images
from qbench.trial.resolved import ResolvedTrial
from quantizers import Quantizer


def check(trial: ResolvedTrial) -> None:
    """Build the trial as `run_trial` will, and forget it.

    Raises:
        DataError: data that are missing or damaged, or whose images or labels are refused.
        ConfigError: names, options or parts that `run_trial` could not use; a network that the scheme refuses (see
            `check_structure`); a quantizer that breaks the contract (see `check_contract`).
    """
    config = trial.config
    _ = trial.trial_id  # needs the data, and the files that plug-ins declare
    post_training = trial.scheme.post_training is not None
    if post_training:
        available = training_images(trial.dataset, config.split_seed, config.data)
        check_calibration_images(config.calibration_images, available)
    with torch.random.fork_rng(devices=[]):
        module = trial.build()
        if post_training:
            module.quantize()
        else:
            _check_trains(module)
        check_contract(module)
        if module.input_shape is None or overrides(type(module), ("quantize",)):
            check_structure(module.model, trial.scheme, trial.model.input_shape)


def _check_trains(module: SchemeModule) -> None:
    """Refuse quantizers that only calibration makes ready: they would pass float values through a whole training."""
    choose = module.scheme.quantization.choose
    for name, layer in quant_layers(module.model):
        roles: tuple[tuple[Role, Quantizer | None], ...] = (
            ("weights", layer.weight_quantizer),
            ("activations", layer.input_quantizer),
        )
        for role, quantizer in roles:
            if quantizer is not None and quantizer.needs_calibration:
                raise ConfigError(
                    f"{name}: {type(quantizer).__name__} needs calibration, which only schemes of the stage "
                    "'post-training' have; int8_qat and lsq train with quantization",
                    f"scheme_options.{choose(role, name, layer.position, layer.layer_count).option}",
                )
