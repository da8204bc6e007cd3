"""Worker processes on this machine, between which a sweep's trials are shared."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from qbench.sweep.executor import TrialListener
from qbench.sweep.plan import PlannedTrial
from qbench.sweep.schedule import Schedule
from qbench.sweep.trial_runner import Setup
from qbench.sweep.worker_process import WorkerProcess, wait_for_news
from qbench.trial.result import TrialResult


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
        """Run every trial once; when this returns or raises, no worker is left.

        Raises:
            RuntimeError: the workers cannot start; its message holds what they printed.
        """
        schedule = Schedule(trials)
        logs = self._setup.folder / "logs"
        logs.mkdir(exist_ok=True)
        workers: list[WorkerProcess] = []
        try:
            workers += [self._start(logs) for _ in range(min(self._workers, len(trials)))]
            while workers:
                self._hand_out(workers, schedule, listener)
                if not schedule:
                    _stop_idle(workers)
                for worker in wait_for_news(workers):
                    self._hear(worker, schedule, listener)
                    if worker.gone:
                        workers.remove(worker)
                        if schedule:
                            workers.append(self._start(logs))
        finally:
            for worker in workers:
                worker.kill()

    def _start(self, logs: Path) -> WorkerProcess:
        self._log_number += 1
        return WorkerProcess(self._setup, logs / f"worker-{self._log_number}.log")

    def _hand_out(self, workers: Sequence[WorkerProcess], schedule: Schedule, listener: TrialListener) -> None:
        for worker in workers:
            if worker.idle and (trial := schedule.take()) is not None:
                worker.give(trial)
                listener.started(trial)
        if schedule and all(worker.idle for worker in workers):
            raise AssertionError("every worker is idle and trials wait: the schedule is wrong")

    def _hear(self, worker: WorkerProcess, schedule: Schedule, listener: TrialListener) -> None:
        for message in worker.messages():
            trial = worker.trial
            if message[0] == "ready":
                worker.ready = True
            elif trial is not None and message[0] == "epoch":
                listener.epoch(trial, *message[1:])
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


def _stop_idle(workers: list[WorkerProcess]) -> None:
    """Stop the workers that have no trial, when none is left for them."""
    for worker in [worker for worker in workers if worker.trial is None]:
        worker.stop()
        workers.remove(worker)


def usable_cpus() -> int:
    """Return the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers(trials: Sequence[PlannedTrial], cpus: Callable[[], int] = usable_cpus) -> int:
    """Return how many workers fit the usable CPUs with their trials' threads; one for a GPU, which is not shared."""
    if any(trial.config.device == "cuda" for trial in trials):
        return 1
    return max(1, cpus() // max((trial.config.threads for trial in trials), default=1))
