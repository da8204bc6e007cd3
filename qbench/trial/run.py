"""One trial, from its configuration to its metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock
from pytorch_lightning.loggers import Logger

from qbench.io import load_state
from qbench.training.fit import drop_checkpoints, fit
from qbench.training.result import TrainingResult
from qbench.training.settings import OnEpoch
from qbench.trial.calibrate import calibrate_trial
from qbench.trial.check import check
from qbench.trial.evaluation import check_ready, evaluate
from qbench.trial.layers import write_layers
from qbench.trial.resolved import ResolvedTrial, resolve
from qbench.trial.result import TrialResult

__all__ = ["check", "resolve", "run_trial"]  # what a sweep asks of the module that it is told to train with


def run_trial(
    trial: ResolvedTrial, folder: Path, *, logger: Logger | None = None, on_epoch: OnEpoch | None = None
) -> TrialResult:
    """Train (or take over an equal training, or continue from its checkpoint), quantize, evaluate.

    Args:
        trial: what `resolve` made of a TrialConfig.
        folder: `folder/trainings` keeps trained networks; trials with equal `training_key` share one.
            `folder/layers/<trial id>.json` gets the layers' report where layers are integers.
        logger: of the training's history, e.g. a WandbLogger; a shared training has none.
        on_epoch: called after each epoch with the epoch, counted from 1, and their number.

    Raises:
        ConfigError: a configuration that cannot be built.
        TrainingError: the loss became infinite or NaN.
        UserError: a checkpoint that is damaged or of another network.
    """
    with _threads(trial.config.threads):
        splits = trial.dataset.load(trial.config.split_seed)
        store = folder / "trainings" / trial.training_key
        store.mkdir(parents=True, exist_ok=True)
        module = trial.build()
        with FileLock(store / "lock"):
            trained = TrainingResult.stored(store)
            if trained is None:
                trained = fit(module, splits, store, trial.settings, logger=logger, on_epoch=on_epoch)
                trained.store(store)
                module.to("cpu")
            drop_checkpoints(store)
            load_state(module.model, trained.state)
            if trial.scheme.post_training is not None:
                module.quantize()
                calibrate_trial(trial, module.model, splits, store)
        module.eval()
        check_ready(module.model)
        write_layers(trial, module.model, splits, folder)
        return evaluate(trial, module, splits, trained)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
