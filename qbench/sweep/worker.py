"""What a worker process does: it runs trials until it is told to stop."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import TYPE_CHECKING

from qbench.sweep.importable import make_importable
from qbench.sweep.plan import load_training
from qbench.sweep.trial_runner import Setup, TrialRunner

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

# Messages of a worker, as tuples: ("ready",), ("epoch", n, of, metrics), ("result", TrialResult, why wandb has no run
# or None).


def work(channel: Connection, setup: Setup, log: Path) -> None:
    """Take trials from the channel and send messages back, until it closes or the parent is gone."""
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
        result, wandb_failure = runner.run(trial, lambda *epoch: channel.send(("epoch", *epoch)))
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
