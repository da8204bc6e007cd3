"""What a trial does around the epochs of someone else's LightningModule."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from qbench.errors import TrainingError
from qbench.training.epochs import Epochs
from qbench.training.first_validation import FirstValidation
from qbench.training.logged_names import LoggedNames
from qbench.training.settings import OnEpoch, TrainingSettings
from qbench.training.wrapped_module import WrappedModule


class WrappedEpochs(Epochs):
    """Epochs of a module that logs by its own names: the loss is what its `training_step` returns.

    The first validation is watched: see `FirstValidation`.
    """

    def __init__(
        self, path: Path, wrapped: WrappedModule, settings: TrainingSettings, on_epoch: OnEpoch | None
    ) -> None:
        super().__init__(path, wrapped.model, settings, on_epoch)
        self._wrapped = wrapped
        self.logged = LoggedNames(wrapped.theirs)
        self._losses: list[Tensor] = []
        self._watch: FirstValidation | None = None
        self._has_watched = False

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to collect losses and names."""
        super().on_train_epoch_start(trainer, pl_module)
        self._losses.clear()
        self.logged.names.clear()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the step's loss."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor):
            self._losses.append(loss.detach().mean())

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep the state that is validated, and watch the first batch."""
        super().on_validation_batch_start(trainer, pl_module, batch, batch_idx, dataloader_idx)
        if not self._has_watched:
            owner, name = type(pl_module).__name__, self._wrapped.network
            self._watch = FirstValidation(owner, name, self._wrapped.model, self._wrapped.classes)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Refuse a module that validates something else than a trial measures."""
        if self._watch is not None:
            self._watch.check(batch[0])
            self._watch, self._has_watched = None, True

    def logged_names(self, module: pl.LightningModule) -> dict[str, bool]:
        """Return the names that the epoch has logged, and whether each is for the logger."""
        return self.logged.names

    def mean_loss(self, metrics: dict[str, float]) -> float | None:
        """Return the mean of what the epoch's training steps returned; None where they returned nothing."""
        return float(torch.stack(self._losses).double().mean()) if self._losses else None

    def check_finite(self, module: pl.LightningModule, epoch: int) -> None:
        """Refuse to go on with what became infinite or NaN.

        Raises:
            TrainingError: a parameter or the mean loss.
        """
        broken = [name for name, value in module.named_parameters() if not bool(value.isfinite().all())]
        loss = self.mean_loss({})
        if broken or (loss is not None and not isfinite(loss)):
            place = f"parameter {broken[0]}" if broken else "training loss"
            raise TrainingError(f"{place} became infinite or NaN in epoch {epoch + 1}; try a lower learning rate")
