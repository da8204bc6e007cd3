"""How far a training is: its history, and the best state so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytorch_lightning.loggers import Logger
from torch import Tensor

from qbench.errors import TrainingError
from qbench.io import flat_state
from qbench.training.result import TrainingResult
from qbench.training.selection import Selection
from qbench.training.used import Used


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        history: the metrics of each finished epoch, as the logger gets them: `train/loss` (mean of the epoch; missing
            where the module logs none), `val/accuracy`, `epoch` (from 0), `flips/<layer>` (see `SignFlips`), and what
            the module's own steps logged.
        seconds: spent on these epochs.
        loss: mean training loss of the last finished epoch; None where the module tells none.
        first_rates: the learning rates at the first step, see `qbench.training.optimizer_facts.rates`.
        best_value, best_epoch, best_state: of the best epoch so far; None, 0 and None before the first.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    loss: float | None = None
    first_rates: list[float] = field(default_factory=list)
    best_value: float | None = None
    best_epoch: int = 0
    best_state: dict[str, Tensor] | None = None

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return len(self.history)

    def validated(self, value: float, epoch: int, state: Mapping[str, Any], selection: Selection) -> None:
        """Keep a copy of the network's `state`, of epoch `epoch` (from 1), if `value` is better than any before."""
        if selection.is_better(value, self.best_value):
            self.best_value, self.best_epoch = value, epoch
            self.best_state = {key: tensor.clone() for key, tensor in flat_state(state).items()}

    def log_history(self, logger: Logger | None, steps: int) -> None:
        """Tell `logger` of every finished epoch, of `steps` steps each: what a killed attempt told went with it."""
        for metrics in self.history:
            log_epoch(logger, metrics, steps)

    def result(self, loop: str, facts: Used) -> TrainingResult:
        """Return the result of a finished training by `loop`, which used `facts`.

        Raises:
            TrainingError: the metric by which the best epoch is chosen was a number in none.
        """
        if self.best_state is None:
            raise TrainingError("no epoch is the best: the metric that chooses it was infinite or NaN in each")
        return TrainingResult(
            self.best_state, self.best_epoch, self.loss, self.seconds, loop=loop, history=self.history, used=facts
        )


def log_epoch(logger: Logger | None, metrics: dict[str, float], steps: int) -> None:
    """Hand an epoch's metrics to `logger`, if there is one, at the epoch's last step."""
    if logger is not None:
        logger.log_metrics(metrics, step=(int(metrics["epoch"]) + 1) * steps - 1)
