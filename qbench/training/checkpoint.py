"""A training's state between two epochs, from which it continues bit for bit."""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from qbench.errors import UserError
from qbench.io import replacing
from qbench.training.progress import Progress

CHECKPOINT_SECONDS = 60.0
"""A checkpoint is written after the first epoch that ends so long after the last checkpoint."""
CHECKPOINT_KEY = "qbench/training"
"""Key of `training_state` in a checkpoint, of either loop."""

_log = logging.getLogger(__name__)


def is_due(last: float) -> bool:
    """Return whether a checkpoint is due; `last` is the time (`time.perf_counter`) of the last one, or of the start."""
    return time.perf_counter() - last >= CHECKPOINT_SECONDS


def training_state(progress: Progress) -> dict[str, Any]:
    """Return what a checkpoint of either loop holds beside network, optimizer and scheduler, as plain values."""
    return {
        "torch": str(torch.__version__),
        "progress": vars(progress),
        "generator": torch.get_rng_state(),
        "cuda_generator": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def restore_generators(state: dict[str, Any]) -> None:
    """Put torch's random generators into the state that `training_state` found them in."""
    torch.set_rng_state(state["generator"])
    if state["cuda_generator"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda_generator"])


def read_checkpoint(path: Path, parts: tuple[str, ...]) -> tuple[Progress, dict[str, Any]] | None:
    """Return the progress and the whole contents of a checkpoint, which has all of `parts`.

    Nothing but tensors and plain values is unpickled. None, with a warning, for a checkpoint of another version of
    torch, which may round otherwise.

    Raises:
        UserError: a damaged file.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        training = state[CHECKPOINT_KEY]
        if training["torch"] != str(torch.__version__):
            _log.warning("%s: is of torch %s, this is %s: starting over", path, training["torch"], torch.__version__)
            return None
        progress = Progress(**training["progress"])
        missing = [key for key in (*parts, CHECKPOINT_KEY) if key not in state]
        missing += [key for key in ("generator", "cuda_generator") if key not in training]
        if missing:
            raise KeyError(missing[0])
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        reason = type(error).__name__
        raise UserError(f"{path}: is no checkpoint or is damaged ({reason}); delete it to start over") from None
    return progress, state


@contextmanager
def loading_from(path: Path) -> Iterator[None]:
    """Report what does not fit, while states from `path` are put into place, as a `UserError`."""
    try:
        yield
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"{path}: is of another network ({reason}); delete it to start over") from None


def save_checkpoint(
    path: Path, progress: Progress, module: nn.Module, optimizer: Optimizer, scheduler: LRScheduler
) -> None:
    """Write the short loop's whole state; a reader sees the old file or the new one."""
    state = {
        CHECKPOINT_KEY: training_state(progress),
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
    }
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path, module: nn.Module, optimizer: Optimizer, scheduler: LRScheduler) -> Progress | None:
    """Put the state that `save_checkpoint` wrote into place.

    None, and nothing put into place, for a checkpoint of another version of torch.

    Raises:
        UserError: a file that is damaged, or that belongs to another network.
    """
    found = read_checkpoint(path, ("module", "optimizer", "scheduler"))
    if found is None:
        return None
    progress, state = found
    with loading_from(path):
        module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
    restore_generators(state[CHECKPOINT_KEY])
    return progress
