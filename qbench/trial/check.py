"""Finds configurations that could not be run, before anything is trained."""

from __future__ import annotations

import torch

from qbench.errors import ConfigError
from qbench.ptq.calibration import check_calibration_images
from qbench.schemes.structure import check_structure
from qbench.training.overrides import overrides
from qbench.training.own_forward import check_own_forward
from qbench.training.recipe_check import check_recipe
from qbench.training.scheme_module import SchemeModule
from qbench.trial.contract import check_contract, check_named
from qbench.trial.data_identity import training_images
from qbench.trial.named_objects import no_new_ops
from qbench.trial.resolved import ResolvedTrial
from qbench.trial.teacher import of_teacher


def check(trial: ResolvedTrial) -> None:
    """Build the trial as `run_trial` will, and forget it.

    Raises:
        DataError: data that are missing or damaged, or whose images or labels are refused.
        ConfigError: names, options or parts that `run_trial` could not use; a network that the scheme refuses (see
            `check_structure`); a quantizer that breaks the contract (see `check_contract`); a module whose forward is
            not its network's (see `check_own_forward`); an optimizer or a schedule that cannot be built (see
            `check_recipe`); a module that registers a QuantOp only now (see `no_new_ops`); a teacher of which any of
            this holds.
    """
    with no_new_ops():
        _check(trial)


def _check(trial: ResolvedTrial) -> None:
    config = trial.config
    if trial.teacher is not None:
        _check_teacher(trial.teacher)
    post_training = trial.scheme.post_training is not None
    if post_training:
        available = training_images(trial.dataset, config.split_seed, config.data)
        check_calibration_images(config.calibration_images, available)
    with torch.random.fork_rng(devices=[]):
        module = _built(trial)
        check_own_forward(module)
        check_recipe(module, trial.epochs)
        if post_training:
            module.quantize()
        check_contract(module)
        if module.input_shape is None or overrides(type(module), ("quantize",)):
            check_structure(module.model, trial.scheme, trial.model.input_shape)
    _ = trial.trial_id  # needs the data, and the files that plug-ins declare; names that are unknown are said above


def _built(trial: ResolvedTrial) -> SchemeModule:
    """Build the module; where that fails for what a quantizer does, say so, and not only what the network then does."""
    try:
        return trial.build()
    except ConfigError:
        check_named(trial.scheme)
        raise


def _check_teacher(teacher: ResolvedTrial) -> None:
    try:
        check(teacher)
    except ConfigError as error:
        raise of_teacher(error, teacher.config.scheme) from error.__cause__
