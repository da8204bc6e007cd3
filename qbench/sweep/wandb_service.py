"""Each trial as a wandb run, beside the store."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qbench.errors import UserError
from qbench.trial.identity import digest

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

    from qbench.sweep.plan import PlannedTrial

Mode = Literal["offline", "online", "disabled"]
_MODES: dict[str, Mode] = {
    "offline": "offline",
    "dryrun": "offline",
    "online": "online",
    "run": "online",
    "disabled": "disabled",
}


def wandb_mode() -> Mode:
    """`WANDB_MODE`, else offline: nothing leaves the machine unasked.

    Raises:
        UserError: a mode that is not one of offline, online, disabled.
    """
    mode = os.environ.get("WANDB_MODE") or "offline"
    if mode not in _MODES:
        raise UserError(f"WANDB_MODE: unknown mode {mode!r}; use offline, online or disabled")
    return _MODES[mode]


@dataclass(frozen=True)
class WandbService:
    """How a sweep's trials become wandb runs. A plain value: worker processes are handed it.

    A run's group is the sweep's id. It is not wandb's own `sweep_id` setting: that names a sweep made by the wandb
    server, and the server refuses to sync a run of a sweep it does not know ("sweep not found", wandb issue 8115).

    Attributes:
        folder: the sweep's; the runs are in its `wandb/`.
        sweep_id: the runs' group.
        sweep_name: a tag, and in the config.
        notes: the file's description.
    """

    folder: Path
    mode: Mode
    sweep_id: str
    sweep_name: str
    project: str | None = None
    entity: str | None = None
    notes: str | None = None

    def start(self, trial: PlannedTrial) -> TrialRun:
        """The run of a trial, in this process.

        Raises:
            Exception: whatever wandb raises.
        """
        import wandb

        run_id = digest(self.sweep_id, trial.id)
        # What a killed attempt at this trial left would be synced as a second run with the same id.
        for leftover in (self.folder / "wandb").glob(f"*run-*-{run_id}"):
            shutil.rmtree(leftover)
        # wandb keeps a cache and its service's logs in the home folder otherwise.
        os.environ.setdefault("WANDB_CACHE_DIR", str(self.folder / "wandb" / "cache"))
        os.environ.setdefault("WANDB_DATA_DIR", str(self.folder / "wandb" / "data"))
        settings = wandb.Settings(
            mode=self.mode,
            silent=True,
            console="off",
            root_dir=str(self.folder),
            disable_code=True,
            disable_git=True,
            symlink=False,
            x_save_requirements=False,
            x_disable_meta=True,  # the machine and the command line: the row is the record, and it names no machine
            x_disable_machine_info=True,
            x_disable_stats=True,
        )
        config = trial.config
        run = wandb.init(
            project=self.project or os.environ.get("WANDB_PROJECT") or "qbench",
            entity=self.entity,
            id=run_id,
            name=trial.label,
            group=self.sweep_id,
            job_type="trial",
            tags=[tag[-64:] for tag in dict.fromkeys([self.sweep_name, config.scheme, config.model, config.data])],
            notes=self.notes,
            config={
                **config.model_dump(),
                "sweep_id": self.sweep_id,
                "sweep_name": self.sweep_name,
                "trial_id": trial.id,
                "training_key": trial.training_key,
            },
            dir=str(self.folder),
            reinit="create_new",
            settings=settings,
        )
        return TrialRun(run)


class TrialRun:
    """One open wandb run. Once started, wandb's failures end the logging, never the trial.

    Attributes:
        logger: for Lightning: the training's history goes into the run.
        failure: wandb's first failure; None while there is none.
    """

    def __init__(self, run: Any) -> None:
        from qbench.sweep.wandb_logger import TrialLogger

        self._run = run
        self.failure: str | None = None
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        self.logger: Logger = TrialLogger(self, run)

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """A context that notes an exception of wandb instead of raising it."""
        try:
            yield
        except Exception as error:
            self.failure = self.failure or describe(error)

    def finish(self, row: Mapping[str, Any] | None) -> None:
        """Close the run: with the row's figures as its summary, or, without a row, as failed."""
        with self.guarded():
            if row is not None:
                self._run.summary.update({key: value for key, value in row.items() if "/" in key and value is not None})
        with self.guarded():
            self._run.finish(exit_code=1 if row is None else 0)


def describe(error: BaseException) -> str:
    """An exception of wandb in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300].rstrip('.')}"
