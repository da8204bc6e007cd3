"""Training a trial's module: by its own short loop, or by Lightning's Trainer where the module has hooks of its own."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from torch import Tensor

from qbench.data.batches import Batches
from qbench.data.datamodule import EVALUATION_BATCH, TensorDataModule
from qbench.data.splits import Examples, Splits
from qbench.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from qbench.training.module import QuantModule
from qbench.training.overrides import own_hooks
from qbench.training.settings import TrainingSettings
from qbench.training.trained import Trained

OnEpoch = Callable[[int, int], None]
CHECKPOINT_SECONDS = 60.0
"""A checkpoint is written after the first epoch that ends so long after the last checkpoint."""
CHECKPOINT = "checkpoint.pt"


def fit(
    module: QuantModule,
    splits: Splits,
    folder: Path,
    settings: TrainingSettings,
    *,
    logger: Logger | None = None,
    on_epoch: OnEpoch | None = None,
) -> Trained:
    """Train `module` for the trial's epochs; the state of the best validation epoch.

    A module without `own_hooks` is trained by a loop of its own, which does a step's arithmetic and nothing else and
    which continues from `folder`'s checkpoint, bit for bit. Any other is trained by a `pl.Trainer`, so that its hooks
    are called as Lightning documents them; an interrupted one starts over. QuantModule's own training gives the same
    weights either way, bit for bit.

    Args:
        folder: where the checkpoint lies while the training runs.
        logger: gets `train/loss`, `val/accuracy` and `epoch` after each epoch.
        on_epoch: called after each epoch with its number, counted from 1, and that of all.

    Raises:
        TrainingError: the loss or a parameter became infinite or NaN.
        UserError: a checkpoint that is damaged or of another network.
    """
    if own_hooks(type(module)) or not module.automatic_optimization:
        return _fit_by_trainer(module, splits, settings, logger, on_epoch)
    return _fit_directly(module, splits, settings, folder / CHECKPOINT, logger, on_epoch)


def drop_checkpoints(folder: Path) -> None:
    """Remove what a training leaves beside its result to continue from."""
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _fit_directly(
    module: QuantModule,
    splits: Splits,
    settings: TrainingSettings,
    checkpoint: Path,
    logger: Logger | None,
    on_epoch: OnEpoch | None,
) -> Trained:
    epochs = settings.epochs
    device = torch.device(settings.device)
    train, validation = splits.train.to(device), splits.validation.to(device)
    batches = Batches(train, settings.batch_size, settings.seed)
    module.to(device)
    optimizer = module.make_optimizer()
    scheduler = module.make_scheduler(optimizer, epochs)
    progress = Progress()
    if checkpoint.exists():
        progress = load_checkpoint(checkpoint, module, optimizer, scheduler) or progress
    for epoch, (loss, accuracy) in enumerate(progress.history):  # the killed attempt's went with its logger
        _log(logger, epoch, loss, accuracy, len(batches))
    loss_of = torch.compile(module.loss) if settings.compile else module.loss
    start = time.perf_counter() - progress.seconds
    saved = time.perf_counter()
    with _deterministic(device):
        for epoch in range(progress.epoch, epochs):
            loss = _train_epoch(module, loss_of, batches, optimizer, epoch, epochs)
            scheduler.step()
            accuracy = _accuracy(module, validation)
            progress.validated(accuracy, epoch + 1, module.model)
            progress.history.append((loss, accuracy))
            progress.seconds = time.perf_counter() - start
            _log(logger, epoch, loss, accuracy, len(batches))
            if on_epoch is not None:
                on_epoch(progress.epoch, epochs)
            if progress.epoch < epochs and time.perf_counter() - saved >= CHECKPOINT_SECONDS:
                save_checkpoint(checkpoint, progress, module, optimizer, scheduler)
                saved = time.perf_counter()
    if logger is not None:
        logger.finalize("success")
    return progress.trained(progress.history[-1][0])


def _log(logger: Logger | None, epoch: int, loss: float, accuracy: float, steps: int) -> None:
    if logger is not None:
        metrics = {"train/loss": loss, "val/accuracy": accuracy, "epoch": float(epoch)}
        logger.log_metrics(metrics, step=(epoch + 1) * steps - 1)


def _train_epoch(
    module: QuantModule,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    batches: Batches,
    optimizer: torch.optim.Optimizer,
    epoch: int,
    epochs: int,
) -> float:
    """The epoch's mean loss. The loop itself waits for no device: losses are read once, at the end."""
    module.train()
    module.start_epoch(epoch, epochs)
    batches.set_epoch(epoch)
    losses = []
    for images, labels in batches:
        loss = loss_of(images, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        module.clip_latents()
        losses.append(loss.detach())
    mean = module.check_finite(losses, epoch)
    assert mean is not None  # an epoch has a batch
    return mean


@torch.no_grad()
def _accuracy(module: QuantModule, examples: Examples) -> float:
    module.eval()
    right = torch.zeros((), dtype=torch.int64, device=examples.labels.device)
    for images, labels in Batches(examples, EVALUATION_BATCH):
        right += (module.model(images).argmax(1) == labels).sum()
    return int(right) / len(examples)


@contextmanager
def _deterministic(device: torch.device) -> Iterator[None]:
    """The CPU's kernels always give the same bits, of float32; CUDA's must be asked for both."""
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # TF32 rounds to 11 bits
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products


def _fit_by_trainer(
    module: QuantModule, splits: Splits, settings: TrainingSettings, logger: Logger | None, on_epoch: OnEpoch | None
) -> Trained:
    device = torch.device(settings.device)
    data = TensorDataModule(
        Splits(splits.train.to(device), splits.validation.to(device), splits.test), settings.batch_size, settings.seed
    )
    best = _Epochs(on_epoch)
    start = time.perf_counter()
    with _quiet_lightning(), _deterministic(device):
        trainer = pl.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=1,
            max_epochs=settings.epochs,
            logger=logger or False,
            callbacks=[best],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1_000_000,
        )
        trainer.fit(module, data)
    if trainer.interrupted:
        raise KeyboardInterrupt
    loss = trainer.callback_metrics.get("train/loss")
    best.progress.seconds = time.perf_counter() - start
    return best.progress.trained(None if loss is None else float(loss))


class _Epochs(pl.Callback):
    """Keeps the best epoch's state, and tells of each epoch."""

    def __init__(self, on_epoch: OnEpoch | None) -> None:
        self.progress = Progress()
        self.on_epoch = on_epoch

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, QuantModule)
        accuracy = float(trainer.callback_metrics["val/accuracy"])
        self.progress.validated(accuracy, trainer.current_epoch + 1, pl_module.model)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.on_epoch is not None:
            self.on_epoch(trainer.current_epoch + 1, trainer.max_epochs or 0)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Without Lightning's notices on devices and its hints on workers, which say nothing about a trial."""
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
