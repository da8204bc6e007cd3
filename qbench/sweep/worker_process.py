"""A worker process as its parent sees it."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from pathlib import Path

from qbench.sweep.plan import PlannedTrial
from qbench.sweep.trial_runner import Setup
from qbench.sweep.worker import work


@dataclass
class WorkerProcess:
    """The parent's end of one worker process.

    Attributes:
        setup: what the process is started with.
        log: the file that takes what it prints.
        trial: what it runs; None while it has nothing to do.
        ready: it has imported what trials need.
        gone: it has ended, and all that it said has been heard.
    """

    setup: Setup
    log: Path
    trial: PlannedTrial | None = None
    ready: bool = False
    gone: bool = False

    def __post_init__(self) -> None:
        """Start the process."""
        context = multiprocessing.get_context("spawn")
        self.channel, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, self.setup, self.log))
        with _interrupts_blocked():
            self.process.start()
        theirs.close()

    @property
    def idle(self) -> bool:
        """Whether it can be given a trial."""
        return self.ready and self.trial is None

    def give(self, trial: PlannedTrial) -> None:
        """Give it a trial to run."""
        self.trial = trial
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its death is heard by the sentinel
            self.channel.send(trial)

    def messages(self) -> list[tuple]:
        """Return what it has said since the last call, and note when it is gone."""
        heard = []
        died = not self.process.is_alive()  # asked first: what it sent before dying is then in the pipe
        try:
            while self.channel.poll():
                heard.append(self.channel.recv())
        except (EOFError, ConnectionResetError):
            self.process.join()
            died = True
        self.gone = died
        return heard

    def death(self) -> str:
        """Return how it ended: `was killed by SIGTERM`, `ended with exit code 1`."""
        code = self.process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return f"was killed by {name}" + (" (out of memory, or by hand)" if name == "SIGKILL" else "")
        return f"ended with exit code {code}"

    def last_words(self) -> str:
        """Return the end of what it printed."""
        try:
            return self.log.read_text(errors="replace")[-4000:]
        except OSError:
            return ""

    def stop(self) -> None:
        """Let it end by itself if it is ready, for it has nothing to do; kill it if it is still importing."""
        if self.ready:
            self.channel.close()
            self.process.join(timeout=5)
        self.kill()

    def kill(self) -> None:
        """End it, whatever it does."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


def wait_for_news(workers: Sequence[WorkerProcess]) -> list[WorkerProcess]:
    """Wait until a worker says something or ends; return those that did. Return at once if there is no worker."""
    if not workers:
        return []
    ready = set(connection.wait([w.channel for w in workers] + [w.process.sentinel for w in workers]))
    return [w for w in workers if w.channel in ready or w.process.sentinel in ready]


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    # A child inherits the blocked signal, so that a Ctrl-C while it imports cannot make it print a traceback. The
    # resource tracker is started before, because starting it (Python 3.11) unblocks the signal again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
