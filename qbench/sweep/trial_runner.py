"""One trial run in this process, with its wandb run."""

from __future__ import annotations

import json
import traceback as tracebacks
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qbench.errors import UserError, one_line
from qbench.sweep.plan import PlannedTrial, Training
from qbench.sweep.plug_ins import load_plugins, loaded_plugins
from qbench.sweep.user_code import reason
from qbench.sweep.wandb_service import WandbService
from qbench.trial.record import TrialRecord
from qbench.trial.result import TrialResult

if TYPE_CHECKING:
    from qbench.sweep.wandb_run import TrialRun


@dataclass(frozen=True)
class Setup:
    """What a process needs to run a sweep's trials.

    Attributes:
        training: the module that trains, by name.
        folder: the sweep's.
        importable: folders whose modules dotted paths may name.
        wandb: what makes the trials' wandb runs; None where wandb is disabled.
        plugins: what the process loads before it runs a trial: all that the process that makes this has loaded.
    """

    training: str
    folder: Path
    importable: tuple[Path, ...]
    wandb: WandbService | None
    plugins: tuple[str, ...] = field(default_factory=loaded_plugins)


class TrialRunner:
    """Runs trials in this process.

    Args:
        setup: what the process needs.
        training: the module that trains.
        planned_here: the trials were planned by this process; another may have other sources.
    """

    def __init__(self, setup: Setup, training: Training, planned_here: bool = True) -> None:
        self._setup = setup
        self._planned_here = planned_here
        self._training = training
        self._wandb = setup.wandb

    def run(
        self, trial: PlannedTrial, on_epoch: Callable[[int, int, Mapping[str, float]], None]
    ) -> tuple[TrialResult, str | None]:
        """Run a trial; return its result, and why wandb has no whole run of it (None where it has).

        The trial's exceptions become the result's error; Ctrl-C passes.
        """
        try:
            load_plugins(self._setup.plugins, self._setup.folder)
            resolved = self._training.resolve(trial.config)
            if not self._planned_here and resolved.trial_id != trial.id:
                # It would store its training under these sources' key, and its result under the plan's.
                raise UserError("the sources were edited after the sweep was planned; run it again")
        except Exception as error:
            return TrialResult.failure(reason(error), tracebacks.format_exc()), None
        run, wandb_failure = self._start_run(trial)
        row = None
        try:
            result = self._training.run_trial(
                resolved, self._setup.folder, logger=run.logger if run else None, on_epoch=on_epoch
            )
            row = _plain_row(result)
            if run is not None:
                run.keep(self._record(trial, result), self._setup.folder / "wandb" / "models")
        except (Exception, SystemExit) as error:
            result = TrialResult.failure(reason(error), tracebacks.format_exc())
        finally:
            if run is not None:
                run.finish(row)
                wandb_failure = run.failure
        return result, wandb_failure

    def _record(self, trial: PlannedTrial, result: TrialResult) -> TrialRecord:
        """Return the record that the store will keep of the result."""
        row = {**result.row, "trial_id": trial.id, "training_key": trial.training_key}
        return TrialRecord(trial.id, "done", row, result.predictions, result.labels, folder=self._setup.folder)

    def _start_run(self, trial: PlannedTrial) -> tuple[TrialRun | None, str | None]:
        """Return the trial's wandb run, or why there is none; None and None where wandb is off."""
        if self._wandb is None:
            return None, None
        try:
            return self._wandb.start(trial), None
        except Exception as error:
            # Trying again with every trial could wait for the same network time-out each time.
            self._wandb = None
            return None, one_line(error)


def _plain_row(result: TrialResult) -> dict[str, Any]:
    """Return the result's row.

    Raises:
        TypeError: the result holds what JSON cannot, a tensor for example. It would fail in the store, and take the
            whole sweep with it.
    """
    json.dumps([result.row, result.predictions, result.labels])
    return dict(result.row)
