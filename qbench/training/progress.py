"""How far a training is: its history, and the best state so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from pytorch_lightning.loggers import Logger
from torch import Tensor, nn

from qbench.io import flat_state
from qbench.training.result import TrainingResult


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        history: the metrics of each finished epoch, as the logger gets them: `train/loss` (mean of the epoch; missing
            where the module logs none), `val/accuracy`, `epoch` (from 0), `flips/<layer>` (see `SignFlips`), and what
            the module's own steps logged.
        seconds: spent on these epochs.
        best_accuracy, best_epoch, best_state: of the best validation so far; -1, 0 and None before the first.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    best_accuracy: float = -1.0
    best_epoch: int = 0
    best_state: dict[str, Tensor] | None = None

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return len(self.history)

    def validated(self, accuracy: float, epoch: int, model: nn.Module) -> None:
        """Keep the model's state if `accuracy`, of epoch `epoch` (from 1), is above that of every epoch before."""
        if accuracy > self.best_accuracy:
            self.best_accuracy, self.best_epoch = accuracy, epoch
            self.best_state = {key: tensor.clone() for key, tensor in flat_state(model.state_dict()).items()}

    def log_history(self, logger: Logger | None, steps: int) -> None:
        """Tell `logger` of every finished epoch, of `steps` steps each: what a killed attempt told went with it."""
        for metrics in self.history:
            log_epoch(logger, metrics, steps)

    def result(self, loop: str) -> TrainingResult:
        """Return the result of a finished training by `loop`."""
        assert self.best_state is not None
        loss = self.history[-1].get("train/loss") if self.history else None
        return TrainingResult(self.best_state, self.best_epoch, loss, self.seconds, loop=loop, history=self.history)


def log_epoch(logger: Logger | None, metrics: dict[str, float], steps: int) -> None:
    """Hand an epoch's metrics to `logger`, if there is one, at the epoch's last step."""
    if logger is not None:
        logger.log_metrics(metrics, step=(int(metrics["epoch"]) + 1) * steps - 1)
