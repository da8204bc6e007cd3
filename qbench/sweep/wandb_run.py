"""A trial's wandb run, and the logger that writes a training's history into it.

Imports Lightning: WandbService imports this module where a trial starts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning.loggers import WandbLogger

from qbench.errors import one_line
from qbench.sweep.trial_model import make_model, model_facts
from qbench.sweep.wandb_tables import run_tables
from qbench.trial.details import read_details
from qbench.trial.record import TrialRecord

_SUMMARIES: dict[str, Literal["min", "max"]] = {"val/accuracy": "max", "train/loss": "min"}
"""Which value of a metric's history a run's summary shows; of every other one it is the last."""


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
        for name, best in _SUMMARIES.items():
            run.define_metric(name, step_metric="trainer/global_step", step_sync=True, summary=best)
        self.logger = TrialLogger(self, run)

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Note an exception of wandb instead of raising it."""
        try:
            yield
        except Exception as error:
            self.failure = self.failure or one_line(error)

    def keep(self, record: TrialRecord, folder: Path) -> None:
        """Put a finished trial's tables and its network into the run, unless wandb has failed.

        The network is an artifact `model-<trial id>` of the type `model` (see `make_model`); it names files in place,
        without a copy in wandb's staging folder, so that they have to stay until the run is synced.

        Args:
            record: of the trial, in its sweep's folder.
            folder: where a network that is written for the artifact goes.
        """
        if self.failure is None:
            with self.guarded():
                self._log_tables(record)
                self._log_model(record, folder)

    def _log_tables(self, record: TrialRecord) -> None:
        import wandb

        assert record.folder is not None
        tables = run_tables(record, read_details(record.folder, record.trial_id))
        # In the summary, as the row's metrics: history is the training's.
        self._run.summary.update(
            {each.name: wandb.Table(columns=list(each.columns), data=each.rows) for each in tables}
        )

    def _log_model(self, record: TrialRecord, folder: Path) -> None:
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        model = make_model(record, folder)
        if model is None:
            return
        facts = model_facts(record, model)
        artifact = wandb.Artifact(f"model-{record.trial_id}", type="model", metadata=facts)
        artifact.add_file(str(model.path), policy="immutable", skip_cache=True)
        self._run.log_artifact(artifact)

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
