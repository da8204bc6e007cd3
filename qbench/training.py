"""One trial, from its configuration to its figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from pytorch_lightning.loggers import Logger
from torch import nn

from qbench import calibration
from qbench.bias_correction import correct_biases
from qbench.calibration import calibration_images
from qbench.data import Splits
from qbench.errors import ConfigError, UserError
from qbench.evaluation import TrialResult, check_ready, evaluate, write_layers
from qbench.fitting import CHECKPOINT, OnEpoch, fit
from qbench.module import QuantModule
from qbench.parts import Parts, check, resolve, training_key, trial_id
from qbench.schemes import Scheme
from qbench.trained import Trained
from qbench.trial import TrialConfig, digest
from qbench.weights import load_state, load_tensors, save_tensors

__all__ = ["check", "float_module", "run_trial", "trained_module", "training_key", "trial_id"]


def run_trial(
    config: TrialConfig, folder: Path, *, logger: Logger | None = None, on_epoch: OnEpoch | None = None
) -> TrialResult:
    """Train (or take over an equal training, or continue from its checkpoint), quantize, evaluate.

    Args:
        config: the trial.
        folder: `folder/trainings` keeps trained networks; trials with equal `training_key` share one.
            `folder/layers/<trial id>.json` gets the layers' report where layers are integers.
        logger: of the training's history, e.g. a WandbLogger; a shared training has none.
        on_epoch: called after each epoch with the epoch, counted from 1, and their number.

    Raises:
        ConfigError: a configuration that cannot be built.
        TrainingError: the loss became infinite or NaN.
        UserError: a checkpoint that is damaged or of another network.
    """
    parts = resolve(config)
    with _threads(config.threads):
        splits = parts.source.load(config.split_seed)
        store = folder / "trainings" / training_key(config)
        store.mkdir(parents=True, exist_ok=True)
        module = parts.build()
        with FileLock(store / "lock"):
            trained = Trained.stored(store)
            if trained is None:
                trained = fit(parts, module, splits, store, logger=logger, on_epoch=on_epoch)
                trained.store(store)
                module.to("cpu")
            (store / CHECKPOINT).unlink(missing_ok=True)
            load_state(module.model, trained.state)
            if parts.scheme.stage == "post-training":
                module.quantize()
                _calibrate(parts, module.model, splits, store)
        module.eval()
        check_ready(module.model)
        write_layers(parts, module.model, splits, folder)
        return evaluate(parts, module, splits, trained)


def trained_module(config: TrialConfig, folder: Path, key: str | None = None) -> QuantModule:
    """The module that a finished trial evaluated: trained, quantized, calibrated, in evaluation mode, on the CPU.

    Args:
        config: the trial's.
        folder: what `run_trial` was given.
        key: the trial's training_key as its row has it; None computes it, which asks for unchanged code.

    Raises:
        ConfigError: a configuration that cannot be built.
        UserError: no trained weights there, or other ones than this code's network has.
    """
    parts, module, store = _load_training(config, folder, key)
    if parts.scheme.stage == "post-training":
        module.quantize()
        _calibrate(parts, module.model, parts.source.load(config.split_seed), store)
    return module.eval()


def float_module(config: TrialConfig, folder: Path, key: str | None = None) -> QuantModule:
    """The float32 network of a finished trial, trained and not quantized, as a module of the scheme int8-minmax.

    Args, raises: as `trained_module`.

    Raises:
        ConfigError: a trial whose training was quantized.
    """
    trained_as = resolve(config).scheme.training_scheme()
    if trained_as.specs:
        raise ConfigError(
            f"{config.scheme} quantizes in training: its network has no float32 form to calibrate", "scheme"
        )
    # What else the float network was trained with.
    same = {name: getattr(trained_as, name) for name in ("activation_function", "norm", "norm_momentum")}
    post_training = config.model_copy(update={"scheme": "int8-minmax", "scheme_options": same})
    return _load_training(post_training, folder, key or training_key(config))[1].eval()


def _load_training(config: TrialConfig, folder: Path, key: str | None) -> tuple[Parts, QuantModule, Path]:
    """The parts, the module with its trained weights, not quantized after training, and where they are kept."""
    parts = resolve(config.model_copy(update={"device": "cpu"}))
    store = folder / "trainings" / (key or training_key(config))
    trained = Trained.stored(store)
    if trained is None:
        raise UserError(f"{store}: holds no trained weights")
    with torch.random.fork_rng(devices=[]):
        module = parts.build()
    try:
        load_state(module.model, trained.state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"{store}: was trained by other code, whose network differs: {reason}") from None
    return parts, module, store


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _calibrate(parts: Parts, network: nn.Module, splits: Splits, store: Path) -> None:
    """Calibrate, with one pass over the images for all schemes that observe the same network the same way."""
    config = parts.config
    images = calibration_images(splits, config.calibration_images, config.split_seed).images
    observers = calibration.observer_settings(network)
    key = digest(config.calibration_images, config.split_seed, _observed_network(parts.scheme), observers)
    path = store / f"calibration-{key}.safetensors"
    if path.exists():
        calibration.load_statistics(network, load_tensors(path))
    else:
        calibration.observe(network, images)
        save_tensors(calibration.statistics(network), path)
    calibration.freeze(network, parts.scheme.clip_outliers)
    if parts.scheme.bias_correction:
        network.eval()
        correct_biases(network, images)
    calibration.round_biases(network)


def _observed_network(scheme: Scheme) -> dict[str, Any]:
    """Everything of a scheme that shapes what calibration observes: all but names and the rules, which come after."""
    fields = scheme.model_dump(exclude={"name", "description"})
    for field in ("weights", "activations", "network_input"):
        if fields[field] is not None:
            fields[field]["options"] = {k: v for k, v in fields[field]["options"].items() if k not in _RULE_OPTIONS}
    return fields


_RULE_OPTIONS = ("rule", "rule_options", "power_of_two")
