"""One trial run in this process, and a worker process that runs trials until it is told to stop."""

from __future__ import annotations

import json
import os
import signal
import threading
import traceback as tracebacks
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qbench.errors import UserError, one_line
from qbench.sweep.plan import PlannedTrial, Training, load_training
from qbench.sweep.plug_ins import make_importable
from qbench.sweep.wandb_service import WandbService
from qbench.trial.result import TrialResult

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


@dataclass(frozen=True)
class Setup:
    """What a process needs to run a sweep's trials.

    Attributes:
        training: the module that trains, by name.
        folder: the sweep's.
        importable: folders whose modules dotted paths may name.
        wandb: None where wandb is disabled.
    """

    training: str
    folder: Path
    importable: tuple[Path, ...]
    wandb: WandbService | None


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

    def run(self, trial: PlannedTrial, on_epoch: Callable[[int, int], None]) -> tuple[TrialResult, str | None]:
        """Run a trial; its result, and why wandb has no (whole) run of it, None where it has.

        The trial's exceptions become the result's error; Ctrl-C passes.
        """
        try:
            resolved = self._training.resolve(trial.config)
        except Exception as error:
            return self._failed(" ".join(str(error).split()))
        if not self._planned_here and resolved.trial_id != trial.id:
            # It would store its training under these sources' key, and its result under the plan's.
            return self._failed("the sources were edited after the sweep was planned; run it again")
        run, wandb_failure = None, None
        if self._wandb is not None:
            try:
                run = self._wandb.start(trial)
            except Exception as error:
                # Trying again with every trial could wait for the same network time-out each time.
                self._wandb, wandb_failure = None, one_line(error)
        row = None
        try:
            result = self._training.run_trial(
                resolved, self._setup.folder, logger=run.logger if run else None, on_epoch=on_epoch
            )
            row = _plain(result)
        except (Exception, SystemExit) as error:
            if isinstance(error.__context__, KeyboardInterrupt):
                # Lightning turns Ctrl-C into SystemExit, and leaves the signal ignored.
                signal.signal(signal.SIGINT, signal.default_int_handler)
                raise KeyboardInterrupt from None
            message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            text = " ".join(message.split()) or type(error).__name__
            result = TrialResult.failure(text, tracebacks.format_exc())
        finally:
            if run is not None:
                run.finish(row)
                wandb_failure = run.failure
        return result, wandb_failure

    @staticmethod
    def _failed(reason: str) -> tuple[TrialResult, str | None]:
        return TrialResult.failure(reason, reason), None


def _plain(result: TrialResult) -> dict[str, Any]:
    # A tensor in a row would be kept here and fail in the store, and take the whole sweep with it.
    json.dumps([result.row, result.predictions, result.labels])
    return dict(result.row)


# Messages of a worker, as tuples: ("ready",), ("epoch", n, of), ("result", TrialResult, why wandb has no run or None).


def work(channel: Connection, setup: Setup, log: Path) -> None:
    """A worker process: trials in, messages out, until the channel closes or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends Ctrl-C to every process; the parent decides
    _redirect_output(log)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    for folder in setup.importable:
        make_importable(folder)
    runner = TrialRunner(setup, load_training(setup.training), planned_here=False)
    channel.send(("ready",))
    while True:
        try:
            trial = channel.recv()
        except EOFError:
            return
        result, wandb_failure = runner.run(trial, lambda epoch, epochs: channel.send(("epoch", epoch, epochs)))
        channel.send(("result", result, wandb_failure))


def _redirect_output(log: Path) -> None:
    # What libraries print would tear the progress bar; the last words of a crash are worth keeping.
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


def _die_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
