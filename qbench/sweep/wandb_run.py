"""A trial's wandb run, and the logger that writes a training's history into it.

Imports Lightning: WandbService imports this module where a trial starts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from pytorch_lightning.loggers import WandbLogger

from qbench.errors import one_line


class TrialRun:
    """One open wandb run. Once started, wandb's failures end the logging, never the trial.

    Attributes:
        logger: for Lightning: the training's history goes into the run.
        failure: wandb's first failure; None while there is none.
    """

    def __init__(self, run: Any) -> None:
        self._run = run
        self.failure: str | None = None
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        self.logger = TrialLogger(self, run)

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Note an exception of wandb instead of raising it."""
        try:
            yield
        except Exception as error:
            self.failure = self.failure or one_line(error)

    def finish(self, row: Mapping[str, Any] | None) -> None:
        """Close the run: with the row's metrics as its summary, or, without a row, as failed."""
        with self.guarded():
            if row is not None:
                self._run.summary.update({key: value for key, value in row.items() if "/" in key and value is not None})
        with self.guarded():
            self._run.finish(exit_code=1 if row is None else 0)


class TrialLogger(WandbLogger):
    """Logs a training's history into a trial's run; after wandb's first failure it logs nothing more."""

    def __init__(self, owner: TrialRun, run: Any) -> None:
        super().__init__(experiment=run)
        self._owner = owner

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log metrics as WandbLogger does, unless wandb has failed."""
        if self._owner.failure is None:
            with self._owner.guarded():
                super().log_metrics(metrics, step)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Log nothing: the run's config is the trial's, which says more than the module's hyperparameters."""
