"""Training by Lightning's Trainer, for modules that have hooks of their own."""

from __future__ import annotations

import logging
import pickle
import signal
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.loggers import Logger
from pytorch_lightning.strategies import SingleDeviceStrategy

from qbench.data.datamodule import TensorDataModule
from qbench.data.splits import Splits
from qbench.io import replacing
from qbench.training.checkpoint import (
    CHECKPOINT_KEY,
    is_due,
    loading_from,
    read_checkpoint,
    restore_generators,
    training_state,
)
from qbench.training.determinism import deterministic
from qbench.training.module import QuantModule
from qbench.training.progress import Progress
from qbench.training.result import TrainingResult
from qbench.training.settings import OnEpoch, TrainingSettings
from qbench.training.sign_flips import SignFlips

TRAINER_CHECKPOINT = "lightning.ckpt"
"""Name of the Trainer's checkpoint."""

_log = logging.getLogger(__name__)


def train_in_trainer(
    module: QuantModule,
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
    epochs = _Epochs(checkpoint, on_epoch)
    resumed = epochs.resume() if checkpoint.exists() else False
    epochs.progress.log_history(logger, len(data.train_dataloader()))
    with _quiet_lightning(), deterministic(device), _in_trial(module, settings.compile):
        trainer = pl.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=1,
            strategy=_Strategy(device, checkpoint),
            max_epochs=settings.epochs,
            logger=logger or False,
            callbacks=[epochs],
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1_000_000,  # QuantModule.log makes every value one of the epoch
        )
        _fit(trainer, module, data, checkpoint if resumed else None)
    epochs.progress.seconds = epochs.seconds()
    return epochs.progress.result("lightning")


def _fit(trainer: pl.Trainer, module: QuantModule, data: pl.LightningDataModule, checkpoint: Path | None) -> None:
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


class _Epochs(Checkpoint):
    """Keeps the best epoch's state and the history, tells of each epoch, and writes the checkpoint.

    Being a `Checkpoint`, it comes after the module's own `on_train_epoch_end`, whose metrics it then sees.
    """

    def __init__(self, path: Path, on_epoch: OnEpoch | None) -> None:
        self.progress = Progress()
        self.path = path
        self.on_epoch = on_epoch
        self.generators: dict[str, Any] | None = None  # to be restored before the next epoch
        self._start = self._saved = time.perf_counter()
        self._resumes = True
        self._flips: SignFlips | None = None

    def resume(self) -> bool:
        """Take over the progress of the checkpoint; return whether the Trainer is to continue from it."""
        found = read_checkpoint(self.path, ("state_dict", "optimizer_states", "lr_schedulers", "loops"))
        if found is None:
            return False
        self.progress, state = found
        self.generators = state[CHECKPOINT_KEY]
        self._start -= self.progress.seconds
        return True

    def seconds(self) -> float:
        """Return how long the training has taken, that before a kill included."""
        return time.perf_counter() - self._start

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the weights that the first epoch starts from."""
        assert isinstance(pl_module, QuantModule)
        self._flips = SignFlips(pl_module.model)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the random generators, in the first epoch after a checkpoint: hooks before it may have drawn."""
        if self.generators is not None:
            restore_generators(self.generators)
            self.generators = None

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the state if it is the best."""
        assert isinstance(pl_module, QuantModule)
        accuracy = float(trainer.callback_metrics["val/accuracy"])
        self.progress.validated(accuracy, trainer.current_epoch + 1, pl_module.model)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add to the history, tell of the epoch, and write the checkpoint if it is due."""
        assert isinstance(pl_module, QuantModule)
        assert pl_module.logged is not None
        assert self._flips is not None
        pl_module.log_dict(self._flips.since_last(pl_module.model))
        progress, epochs = self.progress, trainer.max_epochs or 0
        # The Trainer's metrics have those of the epochs before, too, and those that are for no logger.
        metrics = {k: float(value) for k, value in trainer.callback_metrics.items() if k in pl_module.logged}
        pl_module.logged.clear()
        progress.history.append(metrics | {"epoch": float(trainer.current_epoch)})
        progress.seconds = self.seconds()
        if self.on_epoch is not None:
            self.on_epoch(progress.epoch, epochs)
        if self._resumes and progress.epoch < epochs and is_due(self._saved):
            self._save(trainer)
            self._saved = time.perf_counter()

    def _save(self, trainer: pl.Trainer) -> None:
        """Write the checkpoint; where it holds objects that would not be loaded again, warn and write no further."""
        try:
            with replacing(self.path) as temporary:
                trainer.save_checkpoint(temporary, weights_only=False)
                torch.load(temporary, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:
            self._resumes = False
            _log.warning(
                "%s: not written, and a killed training starts over: the module's on_save_checkpoint (or a callback's) "
                "adds more than tensors and plain values",
                self.path,
            )

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the progress and the random generators to Lightning's checkpoint.

        Hyperparameters are left out: the module is built already, and they may be objects that only a pickle holds.
        """
        for key in ("HYPER_PARAMS_KEY", "HYPER_PARAMS_NAME", "HYPER_PARAMS_TYPE"):
            checkpoint.pop(getattr(pl_module, f"CHECKPOINT_{key}"), None)
        checkpoint[CHECKPOINT_KEY] = training_state(self.progress)


@contextmanager
def _in_trial(module: QuantModule, compiled: bool) -> Iterator[None]:
    """Let the module log by epoch, as the short loop does, and compile its loss, while the context lasts.

    A subclass that has a `training_step` of its own has that compiled, for it may not call `loss`.
    """
    step = "loss" if type(module).training_step is QuantModule.training_step else "training_step"
    own = vars(module).get(step)  # set on the instance, and not by its class
    module.logged = set()
    if compiled:
        setattr(module, step, torch.compile(getattr(module, step)))
    try:
        yield
    finally:
        module.logged = None
        if compiled:
            delattr(module, step)
            if own is not None:
                setattr(module, step, own)


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
