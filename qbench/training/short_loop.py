"""The short training loop: a step's arithmetic and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from pytorch_lightning.loggers import Logger
from torch import Tensor
from torch.optim import Optimizer

from qbench.data.splits import Splits
from qbench.data.training_batches import TrainingBatches
from qbench.training.checkpoint import is_due, load_checkpoint, save_checkpoint
from qbench.training.determinism import deterministic
from qbench.training.loop_state import LoopState
from qbench.training.module import QuantModule
from qbench.training.optimizer_facts import rates, used
from qbench.training.progress import Progress, log_epoch
from qbench.training.result import TrainingResult
from qbench.training.settings import OnEpoch, TrainingSettings
from qbench.training.sign_flips import SignFlips
from qbench.training.validation import validate

CHECKPOINT = "checkpoint.pt"
"""Name of the short loop's checkpoint."""


def train_in_short_loop(
    module: QuantModule,
    splits: Splits,
    settings: TrainingSettings,
    checkpoint: Path,
    logger: Logger | None = None,
    on_epoch: OnEpoch | None = None,
) -> TrainingResult:
    """Train `module` by the steps that it documents, continuing from `checkpoint` where there is one.

    Arguments and errors: see `qbench.training.fit.fit`.
    """
    epochs, device = settings.epochs, torch.device(settings.device)
    train, validation = splits.train.to(device), splits.validation.to(device)
    batches = train.training_batches(settings.batch_size, settings.seed)
    module.to(device)
    optimizer = module.make_optimizer()
    scheduler = module.make_scheduler(optimizer, epochs)
    progress = Progress()
    if checkpoint.exists():
        progress = load_checkpoint(checkpoint, module, optimizer, scheduler) or progress
    progress.first_rates = progress.first_rates or rates([optimizer])
    flips = SignFlips(module.model)
    progress.log_history(logger, len(batches))
    loss_of = torch.compile(module.loss) if settings.compile else module.loss
    start = time.perf_counter() - progress.seconds
    saved = time.perf_counter()
    with deterministic(device), _serving(module, LoopState(logger)) as state:
        for epoch in range(progress.epoch, epochs):
            state.epoch, state.step = epoch, epoch * len(batches)
            loss = _train_epoch(module, loss_of, batches, optimizer, state, epochs)
            scheduler.step()
            module.eval()
            metrics = validate(module, validation) | {"epoch": float(epoch)}
            if loss is not None:
                metrics["train/loss"] = loss
            metrics = state.epoch_metrics() | flips.since_last(module.model) | metrics
            value = settings.selection.value(metrics)
            progress.validated(value, epoch + 1, module.model.state_dict(), settings.selection)
            progress.history.append(metrics)
            progress.loss = loss
            progress.seconds = time.perf_counter() - start
            log_epoch(logger, progress.history[-1], len(batches))
            if on_epoch is not None:
                on_epoch(progress.epoch, epochs, metrics)
            if progress.epoch < epochs and is_due(saved):
                save_checkpoint(checkpoint, progress, module, optimizer, scheduler)
                saved = time.perf_counter()
    if logger is not None:
        logger.finalize("success")
    return progress.result("short", used(module, [optimizer], progress.first_rates, epochs))


def _train_epoch(
    module: QuantModule,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    batches: TrainingBatches,
    optimizer: Optimizer,
    state: LoopState,
    epochs: int,
) -> float | None:
    """Train for one epoch and return what `check_finite` makes of its losses.

    No step waits for the device: losses are read at the end.
    """
    module.train()
    module.start_epoch(state.epoch, epochs)
    batches.set_epoch(state.epoch)
    losses = []
    for images, labels in batches:
        state.batch_size = len(labels)
        loss = loss_of(images, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        module.clip_latents()
        state.step += 1
        losses.append(loss.detach())
    state.batch_size = 1
    return module.check_finite(losses, state.epoch)


@contextmanager
def _serving(module: QuantModule, state: LoopState) -> Iterator[LoopState]:
    """Let `module` ask `state` for its epoch and step, and log to it."""
    module.loop_state = state
    try:
        yield state
    finally:
        module.loop_state = None
