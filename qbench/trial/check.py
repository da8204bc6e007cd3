"""Finds configurations that could not be run, before anything is trained."""

from __future__ import annotations

import torch

from qbench.ptq.calibration import check_calibration_images
from qbench.schemes.structure import check_structure
from qbench.training.overrides import overrides
from qbench.training.own_forward import check_own_forward
from qbench.trial.contract import check_contract
from qbench.trial.data_identity import training_images
from qbench.trial.resolved import ResolvedTrial


def check(trial: ResolvedTrial) -> None:
    """Build the trial as `run_trial` will, and forget it.

    Raises:
        DataError: data that are missing or damaged, or whose images or labels are refused.
        ConfigError: names, options or parts that `run_trial` could not use; a network that the scheme refuses (see
            `check_structure`); a quantizer that breaks the contract (see `check_contract`); a module whose forward is
            not its network's (see `check_own_forward`).
    """
    config = trial.config
    _ = trial.trial_id  # needs the data, and the files that plug-ins declare
    post_training = trial.scheme.post_training is not None
    if post_training:
        available = training_images(trial.dataset, config.split_seed, config.data)
        check_calibration_images(config.calibration_images, available)
    with torch.random.fork_rng(devices=[]):
        module = trial.build()
        check_own_forward(module)
        if post_training:
            module.quantize()
        check_contract(module)
        if module.input_shape is None or overrides(type(module), ("quantize",)):
            check_structure(module.model, trial.scheme, trial.model.input_shape)
