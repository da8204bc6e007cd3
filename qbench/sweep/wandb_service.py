"""wandb: each trial as a run, beside the store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qbench.errors import UserError
from qbench.trial.identity import digest

if TYPE_CHECKING:
    import wandb

    from qbench.sweep.config import SweepConfig
    from qbench.sweep.plan import PlannedTrial
    from qbench.sweep.wandb_run import TrialRun

Mode = Literal["offline", "online", "disabled"]
_MODES: dict[str, Mode] = {
    "offline": "offline",
    "dryrun": "offline",
    "online": "online",
    "run": "online",
    "disabled": "disabled",
}
TRIAL = "trial"
"""The job type of a trial's run."""
COMPARISON = "comparison"
"""The run that holds a sweep's comparison: its job type, and the word in its id."""


def run_id(sweep_id: str, name: str) -> str:
    """Return the id of a run of a sweep: that of a trial by the trial's id, or that of another by a word for it."""
    return digest(sweep_id, name)


def wandb_mode() -> Mode:
    """Return the mode in `WANDB_MODE`, else offline: nothing leaves the machine unasked.

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
        mode: whether runs are sent while they are written.
        sweep_id: the runs' group.
        sweep_name: a tag, and in the config.
        project, entity: where runs belong; None leaves it to the environment, or to wandb.
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
        """Start the run of a trial, in this process.

        Raises:
            Exception: whatever wandb raises.
        """
        from qbench.sweep.wandb_run import TrialRun

        config = trial.config
        run = self.open(
            self.run_id(trial.id),
            trial.label,
            TRIAL,
            tags=(config.scheme, config.model, config.data),
            config={**config.model_dump(), "trial_id": trial.id, "training_key": trial.training_key},
            notes=self.notes,
        )
        return TrialRun(run)

    def run_id(self, name: str) -> str:
        """Return `run_id` in this sweep."""
        return run_id(self.sweep_id, name)

    def open(
        self,
        run_id: str,
        name: str,
        job_type: str,
        *,
        tags: Sequence[str] = (),
        config: Mapping[str, Any],
        notes: str | None = None,
    ) -> wandb.Run:
        """Start a run of the sweep's group, in this process, in place of what an earlier attempt at it has left.

        Raises:
            Exception: whatever wandb raises.
        """
        import wandb

        # What a killed attempt left would be synced as a second run with the same id.
        for leftover in (self.folder / "wandb").glob(f"*run-*-{run_id}"):
            shutil.rmtree(leftover)
        # wandb keeps a cache and its service's logs in the home folder otherwise.
        os.environ.setdefault("WANDB_CACHE_DIR", str(self.folder / "wandb" / "cache"))
        os.environ.setdefault("WANDB_DATA_DIR", str(self.folder / "wandb" / "data"))
        return wandb.init(
            project=self.project or os.environ.get("WANDB_PROJECT") or "qbench",
            entity=self.entity,
            id=run_id,
            name=name,
            group=self.sweep_id,
            job_type=job_type,
            tags=[tag[-64:] for tag in dict.fromkeys([self.sweep_name, *tags])],
            notes=notes,
            config={**config, "sweep_id": self.sweep_id, "sweep_name": self.sweep_name},
            dir=str(self.folder),
            reinit="create_new",
            settings=self._settings(),
        )

    def _settings(self) -> wandb.Settings:
        import wandb

        return wandb.Settings(
            mode=self.mode,
            silent=True,
            console="off",
            root_dir=str(self.folder),
            disable_code=True,
            disable_git=True,
            symlink=False,
            host="",  # else the machine's name
            x_save_requirements=False,
            x_disable_meta=True,  # the machine and the command line: the row is the record, and it names no machine
            x_disable_machine_info=True,
            x_disable_stats=True,
        )


def sweep_service(config: SweepConfig, folder: Path) -> WandbService | None:
    """Return what makes the runs of a sweep whose results go to `folder`; None where wandb is disabled.

    Raises:
        UserError: as `wandb_mode`.
    """
    mode = wandb_mode()
    if mode == "disabled":
        return None
    return WandbService(folder, mode, config.sweep_id, config.name, config.project, config.entity, config.description)


def trial_service(folder: Path) -> WandbService | None:
    """Return what makes the run of a trial that belongs to no sweep; None where wandb is disabled.

    Raises:
        UserError: as `wandb_mode`.
    """
    mode = wandb_mode()
    return None if mode == "disabled" else WandbService(folder, mode, "train", "train")
