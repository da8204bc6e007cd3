"""A training's state between two epochs, from which it continues bit for bit."""

from __future__ import annotations

import logging
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from qbench.errors import UserError
from qbench.io import flat_state, replacing
from qbench.training.trained import Trained

_log = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        history: mean training loss and validation accuracy of each epoch done.
        seconds: spent on them.
        best_accuracy, best_epoch, best_state: of the best validation so far; -1, 0 and empty before the first.
    """

    history: list[tuple[float, float]] = field(default_factory=list)
    seconds: float = 0.0
    best_accuracy: float = -1.0
    best_epoch: int = 0
    best_state: dict[str, Tensor] | None = None

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    def validated(self, accuracy: float, epoch: int, model: nn.Module) -> None:
        """After the validation of epoch `epoch`, counted from 1: its state is kept if it is the best, not as good."""
        if accuracy > self.best_accuracy:
            self.best_accuracy, self.best_epoch = accuracy, epoch
            self.best_state = {key: tensor.clone() for key, tensor in flat_state(model.state_dict()).items()}

    def trained(self, loss: float | None) -> Trained:
        """The result of a training that is done; `loss` is the last epoch's."""
        assert self.best_state is not None
        return Trained(self.best_state, self.best_epoch, loss, self.seconds)


def save_checkpoint(
    path: Path, progress: Progress, module: nn.Module, optimizer: Optimizer, scheduler: LRScheduler
) -> None:
    """Write the whole state, random generators included; a reader sees the old file or the new one."""
    state = {
        "torch": str(torch.__version__),
        "progress": vars(progress),
        "module": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "generator": torch.get_rng_state(),
        "cuda_generator": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(path: Path, module: nn.Module, optimizer: Optimizer, scheduler: LRScheduler) -> Progress | None:
    """Put the state that `save_checkpoint` wrote into place. Nothing but tensors and plain values is unpickled.

    None, with a warning, and nothing put into place, for a checkpoint of another version of torch, which may round
    otherwise.

    Raises:
        UserError: a file that is damaged, or that belongs to another network.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if state["torch"] != str(torch.__version__):
            _log.warning("%s: is of torch %s, this is %s: starting over", path, state["torch"], torch.__version__)
            return None
        progress = Progress(**state["progress"])
        network, moments, decay = state["module"], state["optimizer"], state["scheduler"]
        generator, cuda_generator = state["generator"], state["cuda_generator"]
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, AttributeError, pickle.UnpicklingError) as error:
        reason = type(error).__name__
        raise UserError(f"{path}: is no checkpoint or is damaged ({reason}); delete it to start over") from None
    try:
        module.load_state_dict(network)
        optimizer.load_state_dict(moments)
        scheduler.load_state_dict(decay)
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise UserError(f"{path}: is of another network ({reason}); delete it to start over") from None
    torch.set_rng_state(generator)
    if cuda_generator is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(cuda_generator)
    return progress
