"""Where trials run: in worker processes of this machine, or in this process."""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from pathlib import Path
from typing import Protocol

from qbench.sweep.plan import PlannedTrial, Training
from qbench.sweep.worker import Setup, TrialRunner, work
from qbench.trial.result import TrialResult


class TrialListener(Protocol):
    """Told what happens, in the process that runs the sweep."""

    def started(self, trial: PlannedTrial) -> None: ...
    def epoch(self, trial: PlannedTrial, epoch: int, epochs: int) -> None: ...
    def finished(self, trial: PlannedTrial, result: TrialResult, wandb_failure: str | None) -> None: ...


class Executor(Protocol):
    """Runs trials. A trial's failure is its result, never an exception; an exception of the listener ends the run."""

    def run(self, trials: Sequence[PlannedTrial], listener: TrialListener) -> None: ...


class InProcessExecutor:
    """One trial after the other, in this process."""

    def __init__(self, setup: Setup, training: Training) -> None:
        self._runner = TrialRunner(setup, training)

    def run(self, trials: Sequence[PlannedTrial], listener: TrialListener) -> None:
        """Run them in order."""
        for trial in trials:
            listener.started(trial)

            def on_epoch(epoch: int, epochs: int, trial: PlannedTrial = trial) -> None:
                listener.epoch(trial, epoch, epochs)

            listener.finished(trial, *self._runner.run(trial, on_epoch))


class Schedule:
    """Which trial an idle worker takes next.

    Trials with one training_key share one training under a lock. The first of them leads; the others wait here, not
    on the lock with a worker each, and leaders go first, for they are the long ones.
    """

    def __init__(self, trials: Sequence[PlannedTrial]) -> None:
        self._waiting = list(trials)
        self._running: collections.Counter[str] = collections.Counter()
        self._trained: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def take(self) -> PlannedTrial | None:
        """The next trial that can use a worker; None if every one left waits for a training under way."""
        follower = None
        for trial in self._waiting:
            key = trial.training_key
            if key in self._trained:
                follower = follower or trial
            elif not self._running[key]:
                return self._start(trial)
        return self._start(follower) if follower is not None else None

    def _start(self, trial: PlannedTrial) -> PlannedTrial:
        self._waiting.remove(trial)
        self._running[trial.training_key] += 1
        return trial

    def end(self, trial: PlannedTrial, succeeded: bool) -> None:
        """A trial has ended; after a failure the next of its key leads."""
        self._running[trial.training_key] -= 1
        if succeeded:
            self._trained.add(trial.training_key)


class LocalExecutor:
    """Worker processes on this machine, started once: importing torch and Lightning takes seconds.

    Args:
        setup: what each worker needs.
        workers: how many; never more than trials.
    """

    def __init__(self, setup: Setup, workers: int) -> None:
        self._setup = setup
        self._workers = workers
        self._log_number = 0

    def run(self, trials: Sequence[PlannedTrial], listener: TrialListener) -> None:
        """Run them all; on the way out, by whatever way, no worker is left.

        Raises:
            RuntimeError: the workers cannot start; its message holds what they printed.
        """
        schedule = Schedule(trials)
        logs = self._setup.folder / "logs"
        logs.mkdir(exist_ok=True)
        workers: list[_Worker] = []
        try:
            workers += [self._start(logs) for _ in range(min(self._workers, len(trials)))]
            while workers:
                for worker in workers:
                    self._feed(worker, schedule, listener)
                idle = [worker for worker in workers if worker.ready and worker.trial is None]
                if not schedule:
                    for worker in [w for w in workers if w.trial is None]:
                        worker.stop()
                        workers.remove(worker)
                    if not workers:
                        return
                elif len(idle) == len(workers):
                    raise AssertionError("every worker is idle and trials wait: the schedule is wrong")
                for worker in _awaken(workers):
                    self._hear(worker, schedule, listener)
                    if worker.gone:
                        workers.remove(worker)
                        if schedule:
                            workers.append(self._start(logs))
        finally:
            for worker in workers:
                worker.kill()

    def _start(self, logs: Path) -> _Worker:
        self._log_number += 1
        return _Worker(self._setup, logs / f"worker-{self._log_number}.log")

    def _feed(self, worker: _Worker, schedule: Schedule, listener: TrialListener) -> None:
        if worker.ready and worker.trial is None and (trial := schedule.take()) is not None:
            worker.give(trial)
            listener.started(trial)

    def _hear(self, worker: _Worker, schedule: Schedule, listener: TrialListener) -> None:
        for message in worker.messages():
            trial = worker.trial
            if message[0] == "ready":
                worker.ready = True
            elif trial is not None and message[0] == "epoch":
                listener.epoch(trial, message[1], message[2])
            elif trial is not None and message[0] == "result":
                worker.trial = None
                schedule.end(trial, succeeded=message[1].error is None)
                listener.finished(trial, message[1], message[2])
        if not worker.gone:
            return
        if not worker.ready:
            raise RuntimeError(f"a worker process {worker.death()} while starting:\n{worker.last_words()}")
        if (trial := worker.trial) is not None:
            worker.trial = None
            schedule.end(trial, succeeded=False)
            error = f"the worker process {worker.death()}"
            listener.finished(trial, TrialResult.failure(error, f"{error}\n\n{worker.last_words()}"), None)


@dataclass
class _Worker:
    """The parent's end of one worker process."""

    setup: Setup
    log: Path
    trial: PlannedTrial | None = None
    ready: bool = False
    gone: bool = False

    def __post_init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.channel, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, self.setup, self.log))
        with _interrupts_blocked():
            self.process.start()
        theirs.close()

    def give(self, trial: PlannedTrial) -> None:
        self.trial = trial
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # its death is heard by the sentinel
            self.channel.send(trial)

    def messages(self) -> list[tuple]:
        """What it has said since; notes when it is gone, after its last word."""
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
        code = self.process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return f"was killed by {name}" + (" (out of memory, or by hand)" if name == "SIGKILL" else "")
        return f"ended with exit code {code}"

    def last_words(self) -> str:
        try:
            return self.log.read_text(errors="replace")[-4000:]
        except OSError:
            return ""

    def stop(self) -> None:
        """Let it end by itself, for it has nothing to do; one that is still importing is not waited for."""
        if self.ready:
            self.channel.close()
            self.process.join(timeout=5)
        self.kill()

    def kill(self) -> None:
        if self.process.is_alive():
            self.process.kill()
        self.process.join()


def _awaken(workers: list[_Worker]) -> list[_Worker]:
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


def usable_cpus() -> int:
    """The CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers(trials: Sequence[PlannedTrial], cpus: Callable[[], int] = usable_cpus) -> int:
    """As many workers as the usable CPUs hold with the trials' threads; one for a GPU, which trials would share."""
    if any(trial.config.device == "cuda" for trial in trials):
        return 1
    return max(1, cpus() // max((trial.config.threads for trial in trials), default=1))
