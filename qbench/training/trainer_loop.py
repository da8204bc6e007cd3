"""Training by Lightning's Trainer, for modules that have hooks of their own."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import SingleDeviceStrategy

from qbench.data.datamodule import TensorDataModule
from qbench.data.splits import Splits
from qbench.training.checkpoint import loading_from
from qbench.training.determinism import deterministic
from qbench.training.epochs import Epochs
from qbench.training.module import QuantModule
from qbench.training.optimizer_facts import used
from qbench.training.result import TrainingResult
from qbench.training.scheme_module import SchemeModule
from qbench.training.settings import OnEpoch, TrainingSettings
from qbench.training.wrapped_epochs import WrappedEpochs
from qbench.training.wrapped_module import WrappedModule

TRAINER_CHECKPOINT = "lightning.ckpt"
"""Name of the Trainer's checkpoint."""


def train_in_trainer(
    module: SchemeModule,
    splits: Splits,
    settings: TrainingSettings,
    checkpoint: Path,
    logger: Logger | None = None,
    on_epoch: OnEpoch | None = None,
) -> TrainingResult:
    """Train `module` by a `pl.Trainer`, continuing from `checkpoint`, one of Lightning's, where there is one.

    Arguments and errors: see `qbench.training.fit.fit`.
    """
    device = torch.device(settings.device)
    train, validation = splits.train.to(device), splits.validation.to(device)
    data = TensorDataModule(Splits(train, validation, splits.test), settings.batch_size, settings.seed)
    trained: pl.LightningModule
    if isinstance(module, WrappedModule):
        trained = module.theirs
        epochs: Epochs = WrappedEpochs(checkpoint, module, settings, on_epoch)
    else:
        trained = module
        epochs = Epochs(checkpoint, module.model, settings, on_epoch)
    resumed = epochs.resume() if checkpoint.exists() else False
    epochs.progress.log_history(logger, len(data.train_dataloader()))
    with _quiet_lightning(), deterministic(device), _in_trial(trained, epochs, settings.compile):
        trainer = pl.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=1,
            strategy=_Strategy(device, checkpoint),
            max_epochs=settings.epochs,
            logger=logger or False,
            callbacks=[epochs],
            default_root_dir=checkpoint.parent,  # where the module's own callbacks write
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1_000_000,  # QuantModule.log makes every value one of the epoch
        )
        _fit(trainer, trained, data, checkpoint if resumed else None)
    epochs.progress.seconds = epochs.seconds()
    facts = used(trained, trainer.optimizers, epochs.progress.first_rates, settings.epochs)
    if epochs.progress.loss is None:
        facts = facts.with_unknown("loss: the training steps told none")
    return epochs.progress.result("lightning", facts)


def _fit(
    trainer: pl.Trainer, module: pl.LightningModule, data: pl.LightningDataModule, checkpoint: Path | None
) -> None:
    """Fit; a KeyboardInterrupt stays one.

    Lightning makes a SystemExit of it, and ignores every further interrupt of the process.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


class _Strategy(SingleDeviceStrategy):
    """One device; a checkpoint that does not fit is a `UserError` that names the file."""

    def __init__(self, device: torch.device, checkpoint: Path) -> None:
        if device.type == "cuda":  # Lightning wants to know which
            device = torch.device("cuda", torch.cuda.current_device())
        super().__init__(device)
        self._checkpoint = checkpoint

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Put the module's state into place."""
        with loading_from(self._checkpoint):
            super().load_model_state_dict(checkpoint, strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Put the optimizers' states into place."""
        with loading_from(self._checkpoint):
            super().load_optimizer_state_dict(checkpoint)


@contextmanager
def _in_trial(module: pl.LightningModule, epochs: Epochs, compiled: bool) -> Iterator[None]:
    """Let the module log by epoch, as the short loop does, and compile its loss, while the context lasts.

    One that has a `training_step` of its own has that compiled, for it may not call `loss`. Someone else's module logs
    as it will; only the names are noted.
    """
    own_step = type(module).training_step is not QuantModule.training_step
    changed: dict[str, Any] = {}
    if compiled:
        step = "training_step" if own_step else "loss"
        changed[step] = torch.compile(getattr(module, step))
    if isinstance(module, QuantModule):
        module.logged = {}
    elif isinstance(epochs, WrappedEpochs):
        changed["log"] = epochs.logged.log
    before = {name: vars(module)[name] for name in changed if name in vars(module)}  # set on the instance
    for name, value in changed.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        if isinstance(module, QuantModule):
            module.logged = None
        for name in changed:
            delattr(module, name)
        for name, value in before.items():
            setattr(module, name, value)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence Lightning's notices on devices and its hints on workers, which say nothing about a trial."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning_fabric")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
