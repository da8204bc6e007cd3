"""What a trial does around the epochs of a Trainer: keeps the best state and the history, tells, and checkpoints."""

from __future__ import annotations

import logging
import pickle
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor, nn

from qbench.io import flat_state, replacing
from qbench.training.checkpoint import CHECKPOINT_KEY, is_due, read_checkpoint, restore_generators, training_state
from qbench.training.module import QuantModule
from qbench.training.optimizer_facts import rates
from qbench.training.progress import Progress
from qbench.training.settings import OnEpoch, TrainingSettings
from qbench.training.sign_flips import SignFlips

_log = logging.getLogger(__name__)


class Epochs(Checkpoint):
    """Keeps the best epoch's state and the history, tells of each epoch, and writes the checkpoint.

    Being a `Checkpoint`, it comes after the module's own `on_train_epoch_end`, whose metrics it then sees.

    Args:
        path: of the checkpoint.
        network: the one that is quantized, whose state is kept.
        settings: of the training.
        on_epoch: called after each epoch.
    """

    def __init__(self, path: Path, network: nn.Module, settings: TrainingSettings, on_epoch: OnEpoch | None) -> None:
        self.progress = Progress()
        self.path = path
        self.network = network
        self.settings = settings
        self.on_epoch = on_epoch
        self.generators: dict[str, Any] | None = None  # to be restored before the next epoch
        self._start = self._saved = time.perf_counter()
        self._resumes = True
        self._flips: SignFlips | None = None
        self._validated: dict[str, Tensor] | None = None

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
        """Look at the weights and the rates that the first epoch starts from."""
        self._flips = SignFlips(self.network)
        self.progress.first_rates = self.progress.first_rates or rates(trainer.optimizers)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the random generators, in the first epoch after a checkpoint: hooks before it may have drawn."""
        self._validated = None
        if self.generators is not None:
            restore_generators(self.generators)
            self.generators = None

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep the state that is validated: that of an average, where a callback swaps one in."""
        if batch_idx == dataloader_idx == 0:
            state = flat_state(self.network.state_dict())
            self._validated = {key: tensor.clone() for key, tensor in state.items()}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add to the history, tell of the epoch, and write the checkpoint if it is due."""
        assert self._flips is not None
        self.check_finite(pl_module, trainer.current_epoch)
        pl_module.log_dict(self._flips.since_last(self.network))
        progress, epochs = self.progress, trainer.max_epochs or 0
        # The Trainer's metrics have those of the epochs before, too, and those that are for no logger.
        logged = self.logged_names(pl_module)
        metrics = {key: float(value) for key, value in trainer.callback_metrics.items() if key in logged}
        value = self.settings.selection.value(metrics)
        state = self.network.state_dict() if self._validated is None else self._validated
        progress.validated(value, trainer.current_epoch + 1, state, self.settings.selection)
        metrics = {key: value for key, value in metrics.items() if logged[key]}
        logged.clear()
        progress.history.append(metrics | {"epoch": float(trainer.current_epoch)})
        progress.loss = self.mean_loss(metrics)
        progress.seconds = self.seconds()
        if self.on_epoch is not None:
            self.on_epoch(progress.epoch, epochs, progress.history[-1])
        if self._resumes and progress.epoch < epochs and is_due(self._saved):
            self._save(trainer)
            self._saved = time.perf_counter()

    def logged_names(self, module: pl.LightningModule) -> dict[str, bool]:
        """Return the names that the epoch has logged, and whether each is for the logger."""
        assert isinstance(module, QuantModule)
        assert module.logged is not None
        return module.logged

    def mean_loss(self, metrics: dict[str, float]) -> float | None:
        """Return the epoch's mean training loss; None where the module tells none."""
        return metrics.get("train/loss")

    def check_finite(self, module: pl.LightningModule, epoch: int) -> None:
        """Refuse to go on with what became infinite or NaN; a QuantModule does so itself."""

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
