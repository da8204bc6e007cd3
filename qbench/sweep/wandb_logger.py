"""Lightning's WandbLogger on a run of ours. Imports Lightning: import it in a process that trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import WandbLogger

from qbench.sweep.wandb_service import TrialRun


class TrialLogger(WandbLogger):
    """Logs a training's history into a trial's run; after wandb's first failure it logs nothing more."""

    def __init__(self, owner: TrialRun, run: Any) -> None:
        super().__init__(experiment=run)
        self._owner = owner

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """As WandbLogger's."""
        if self._owner.failure is None:
            with self._owner.guarded():
                super().log_metrics(metrics, step)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run's config is the trial's, which says more than the module's hyperparameters."""
