"""The networks of a finished trial, from its stored weights."""

from __future__ import annotations

from pathlib import Path

import torch

from qbench.errors import ConfigError, UserError
from qbench.io import load_state
from qbench.training.result import TrainingResult
from qbench.training.scheme_module import SchemeModule
from qbench.trial.calibrate import calibrate_trial
from qbench.trial.config import TrialConfig
from qbench.trial.record import TrialRecord
from qbench.trial.resolved import ResolvedTrial, resolve


def open_module(record: TrialRecord) -> SchemeModule:
    """Return the module that a trial evaluated: trained, quantized, calibrated, in evaluation mode, on the CPU.

    Raises:
        ConfigError: a configuration that cannot be built.
        UserError: there are no trained weights, or they do not fit the network that this code builds.
    """
    trial = _on_cpu(record.config)
    store = _store(record)
    module = _trained_module(trial, store)
    if trial.scheme.post_training is not None:
        module.quantize()
        calibrate_trial(trial, module.model, trial.dataset.splits(trial.config.split_seed, trial.config.data), store)
    return module.eval()


def open_float_module(record: TrialRecord) -> SchemeModule:
    """Return the float32 network of a trial, trained and not quantized, as a module of the scheme int8-minmax.

    Raises:
        ConfigError: a trial whose training was quantized; as `open_module`.
        UserError: as `open_module`.
    """
    config = record.config
    scheme = _on_cpu(config).scheme
    trained_as = scheme.training_scheme()
    if trained_as.specs:
        raise ConfigError(
            f"{config.scheme} quantizes in training: its network has no float32 form to calibrate", "scheme"
        )
    # The rest of what shaped the float network.
    same = {name: getattr(trained_as.recipe, name) for name in ("activation_function", "norm", "norm_momentum")}
    same["allow_float"] = list(scheme.quantization.allow_float)
    trial = _on_cpu(config.model_copy(update={"scheme": "int8-minmax", "scheme_options": same}))
    return _trained_module(trial, _store(record)).eval()


def _on_cpu(config: TrialConfig) -> ResolvedTrial:
    return resolve(config.model_copy(update={"device": "cpu"}))


def _store(record: TrialRecord) -> Path:
    """Return the folder of the trial's training: by the key in its row, for the code may have changed since."""
    assert record.folder is not None
    return record.folder / "trainings" / str(record.row["training_key"])


def _trained_module(trial: ResolvedTrial, store: Path) -> SchemeModule:
    """Build the module with its trained weights, not quantized after training."""
    trained = TrainingResult.stored(store)
    if trained is None:
        raise UserError(f"{store}: holds no trained weights")
    with torch.random.fork_rng(devices=[]):
        module = trial.build()
    try:
        load_state(module.model, trained.state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"{store}: was trained by other code, whose network differs: {reason}") from None
    return module
