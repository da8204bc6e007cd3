"""What a trial's row says of its training."""

from __future__ import annotations

from typing import Any

from qbench.training.result import TrainingResult
from qbench.training.used import Used


def training_metrics(trained: TrainingResult, epochs: int) -> dict[str, Any]:
    """Return the metrics of a training, as it ran.

    - `training/epochs`: those that were trained, which may be fewer than planned where a callback stops.
    - `training/optimizer`, `training/loss_function`: names of classes and functions, with a recipe's options.
    - `training/learning_rate_start`, `training/learning_rate_end`: at the first step, and after the last epoch.
    - `training/unknown`: why a value is None, where one is.

    Args:
        trained: the training.
        epochs: as planned, for a training of a version that kept no history.
    """
    used = trained.used or Used(unknown="the version that trained did not say what it used")
    done = len(trained.history) or epochs
    return {
        "time/train_s": trained.seconds,
        "time/epochs_per_s": done / trained.seconds,
        "training/epochs": done,
        "training/best_epoch": trained.epoch,
        "training/loss": trained.loss,
        "training/loop": trained.loop,
        "training/learning_rate_start": used.learning_rate_start,
        "training/learning_rate_end": used.learning_rate_end,
        "training/optimizer": used.optimizer,
        "training/loss_function": used.loss,
        "training/unknown": used.unknown,
    }
