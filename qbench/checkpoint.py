"""A training's state between two epochs, from which it continues bit for bit."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from qbench.errors import UserError
from qbench.trained import Trained
from qbench.weights import flat_state


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        epoch: epochs done.
        seconds: spent on them.
        best_accuracy, best_epoch, best_state: of the best validation so far; -1, 0 and empty before the first.
        loss: mean training loss of the last epoch done.
    """

    epoch: int = 0
    seconds: float = 0.0
    best_accuracy: float = -1.0
    best_epoch: int = 0
    best_state: dict[str, Tensor] | None = None
    loss: float | None = None

    def validated(self, accuracy: float, epoch: int, model: nn.Module) -> None:
        """After the validation of epoch `epoch`, counted from 1: its state is kept if it is the best, not as good."""
        if accuracy > self.best_accuracy:
            self.best_accuracy, self.best_epoch = accuracy, epoch
            self.best_state = {key: tensor.clone() for key, tensor in flat_state(model.state_dict()).items()}

    def trained(self) -> Trained:
        """The result of a training that is done."""
        assert self.best_state is not None
        return Trained(self.best_state, self.best_epoch, self.loss, self.seconds)


def save_checkpoint(
    path: Path, progress: Progress, module: nn.Module, optimizer: Optimizer, scheduler: LRScheduler
) -> None:
    """Write the whole state, random generators included; a reader sees the old file or the new one."""
    state = {
        "progress": vars(progress),
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "generator": torch.get_rng_state(),
        "cuda_generator": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }
    temporary = path.with_name(f".{path.name}.tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def load_checkpoint(path: Path, module: nn.Module, optimizer: Optimizer, scheduler: LRScheduler) -> Progress:
    """Put the state that `save_checkpoint` wrote into place. Nothing but tensors and plain values is unpickled.

    Raises:
        UserError: a file that is damaged, or that belongs to another network.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        network = state["module"]
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        raise UserError(
            f"{path}: is no checkpoint or is damaged ({type(error).__name__}); delete it to start over"
        ) from None
    try:
        module.load_state_dict(network)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"{path}: is of another network ({reason}); delete it to start over") from None
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    torch.set_rng_state(state["generator"])
    if state["cuda_generator"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda_generator"])
    return Progress(**state["progress"])
