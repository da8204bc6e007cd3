"""Training a trial's module, by the short loop or by Lightning's."""

from __future__ import annotations

from pathlib import Path

from pytorch_lightning.loggers import Logger

from qbench.data.splits import Splits
from qbench.training.module import QuantModule
from qbench.training.overrides import own_hooks
from qbench.training.own_forward import check_own_forward
from qbench.training.result import TrainingResult
from qbench.training.scheme_module import SchemeModule
from qbench.training.settings import OnEpoch, TrainingSettings
from qbench.training.short_loop import CHECKPOINT, train_in_short_loop
from qbench.training.trainer_loop import TRAINER_CHECKPOINT, train_in_trainer


def fit(
    module: SchemeModule,
    splits: Splits,
    folder: Path,
    settings: TrainingSettings,
    *,
    logger: Logger | None = None,
    on_epoch: OnEpoch | None = None,
) -> TrainingResult:
    """Train `module` for the trial's epochs; return the state of the best epoch by `settings.selection`.

    The short loop trains a module without `own_hooks`: it does a step's arithmetic and nothing else. A `pl.Trainer`
    trains any other, one that optimizes by hand (`automatic_optimization = False`), and someone else's (a
    `WrappedModule`), so that its hooks are called as Lightning documents them. Both continue from the checkpoint in
    `folder`, both compile, and both give QuantModule's own training the same weights, bit for bit. The result's `loop`
    says which it was.

    Args:
        module: as built, not trained.
        splits: training and validation examples are used.
        folder: where the checkpoint lies while the training runs.
        settings: epochs, batches, device, the metric that chooses the best epoch.
        logger: gets `train/loss`, `val/accuracy`, `epoch`, `flips/<layer>` and what the module logs, once an epoch.
        on_epoch: called after each epoch.

    Raises:
        ConfigError: the metric that chooses the best epoch is none that the module logs; see `check_own_forward`.
        TrainingError: the loss, a parameter or, in each epoch, that metric became infinite or NaN.
        UserError: a checkpoint that is damaged or of another network.
    """
    check_own_forward(module)
    if not isinstance(module, QuantModule) or own_hooks(type(module)) or not module.automatic_optimization:
        return train_in_trainer(module, splits, settings, folder / TRAINER_CHECKPOINT, logger, on_epoch)
    return train_in_short_loop(module, splits, settings, folder / CHECKPOINT, logger, on_epoch)


def drop_checkpoints(folder: Path) -> None:
    """Remove what a training leaves beside its result to continue from."""
    for name in (CHECKPOINT, TRAINER_CHECKPOINT):
        (folder / name).unlink(missing_ok=True)
