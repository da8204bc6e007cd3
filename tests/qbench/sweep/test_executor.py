import re
import time
from dataclasses import replace

import pytest

from qbench.sweep.config import load_sweep
from qbench.sweep.executor import InProcessExecutor
from qbench.sweep.local_executor import LocalExecutor, default_workers
from qbench.sweep.plan import PlannedTrial, make_plan
from qbench.sweep.schedule import Schedule
from qbench.sweep.trial_runner import Setup
from qbench.trial.config import TrialConfig


class Recorder:
    """A listener that keeps what it is told."""

    def __init__(self):
        self.events = []
        self.results = {}

    def started(self, trial):
        self.events.append(("started", trial.label))

    def epoch(self, trial, epoch, epochs, metrics):
        self.events.append(("epoch", trial.label, epoch, epochs))

    def finished(self, trial, result, wandb_failure):
        self.events.append(("finished", trial.label))
        assert trial.id not in self.results
        self.results[trial.id] = result


def trials(fake, folder, schemes="[fp32, binarynet]", seeds="[0, 1]", act="none"):
    path = folder / "s.yaml"
    path.write_text(
        f"method: grid\nparameters:\n  scheme: {{values: {schemes}}}\n  seed: {{values: {seeds}}}\n"
        f"  epochs: {{value: 2}}\n  scheme_options: {{value: {{act: {act}}}}}\n"
    )
    return make_plan(load_sweep(path), fake).trials


def setup_in(folder):
    return Setup("fake_training", folder, (folder,), None)


def run(executor, planned):
    recorder = Recorder()
    executor.run(planned, recorder)
    return recorder


def processes(folder):
    return {line.split()[2] for line in (folder / "ran.txt").read_text().splitlines()}


def test_workers_live_for_the_whole_sweep_and_tell_what_happens(fake, workplace):
    planned = trials(fake, workplace, seeds="[0, 1, 2]")
    recorder = run(LocalExecutor(setup_in(workplace), 2), planned)
    assert set(recorder.results) == {trial.id for trial in planned}
    assert all(result.error is None for result in recorder.results.values())
    assert len(processes(workplace)) <= 2  # six trials; one worker may be done before the other has started
    first = planned[0]
    assert recorder.results[first.id].row["test/accuracy"] == pytest.approx(39 / 40)
    assert [event for event in recorder.events if event[1] == first.label] == [
        ("started", first.label),
        ("epoch", first.label, 1, 2),
        ("epoch", first.label, 2, 2),
        ("finished", first.label),
    ]


def test_there_are_no_more_workers_than_trials(fake, workplace):
    run(LocalExecutor(setup_in(workplace), 64), trials(fake, workplace, "[fp32]", "[0]"))
    assert len(list((workplace / "logs").iterdir())) == 1


def test_a_worker_that_is_killed_fails_its_trial_and_is_replaced(fake, workplace):
    planned = trials(fake, workplace, "[fp32]", "[0, 1, 2]", act="die-1")
    recorder = run(LocalExecutor(setup_in(workplace), 1), planned)
    errors = [recorder.results[trial.id].error for trial in planned]
    assert errors == [None, "the worker process was killed by SIGKILL (out of memory, or by hand)", None]
    assert "last words" in recorder.results[planned[1].id].traceback
    assert len(processes(workplace)) == 2


def test_an_exception_and_an_exit_fail_their_trial_alone(fake, workplace):
    for act, error in (("raise-1", "ValueError: the loss is not a number"), ("exit-1", "SystemExit: 3")):
        planned = trials(fake, workplace, "[fp32]", "[0, 1, 2]", act=act)
        recorder = run(InProcessExecutor(setup_in(workplace), fake), planned)
        first, failed, last = (recorder.results[trial.id].error for trial in planned)
        assert (first, last) == (None, None)
        assert re.fullmatch(error + r" \(.*fake_training\.py, line \d+\)", failed)
        assert "run_trial" in recorder.results[planned[1].id].traceback


def test_a_row_that_is_not_plain_fails_its_trial(fake, workplace):
    planned = trials(fake, workplace, "[fp32]", "[0]", act="tensor")
    (result,) = run(InProcessExecutor(setup_in(workplace), fake), planned).results.values()
    assert "not JSON serializable" in result.error


def test_sources_edited_after_the_plan_fail_the_trial(fake, workplace):
    (planned,) = trials(fake, workplace, "[fp32]", "[0]")
    other = replace(planned, id="0" * 16)
    result = run(LocalExecutor(setup_in(workplace), 1), [other]).results[other.id]
    assert result.error == "the sources were edited after the sweep was planned; run it again"
    assert not (workplace / "ran.txt").exists()


def test_an_exception_of_the_listener_leaves_no_worker(fake, workplace):
    planned = trials(fake, workplace, "[fp32, binarynet]", "[0]", act="hang-0")
    executor = LocalExecutor(setup_in(workplace), 2)

    class Stops(Recorder):
        def started(self, trial):
            if len(self.events) == 1:
                raise KeyboardInterrupt
            super().started(trial)

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        executor.run(planned, Stops())
    assert time.monotonic() - start < 40  # a trial hangs for 60 s
    import multiprocessing

    assert multiprocessing.active_children() == []


def test_workers_that_cannot_start_are_said_with_their_reason(fake, workplace):
    planned = trials(fake, workplace, "[fp32]", "[0]")
    (workplace / "broken_training.py").write_text("raise ImportError('no such library')")
    with pytest.raises(RuntimeError, match=r"(?s)while starting.*no such library"):
        run(LocalExecutor(Setup("broken_training", workplace, (workplace,), None), 1), planned)


def trial(number, key):
    return PlannedTrial(f"t{number}", key, TrialConfig(scheme="fp32", seed=number), f"t{number}")


def test_leaders_go_first_and_followers_do_not_hold_workers():
    schedule = Schedule([trial(0, "a"), trial(1, "a"), trial(2, "a"), trial(3, "b"), trial(4, "c")])
    a, b = schedule.take(), schedule.take()
    assert (a.id, b.id) == ("t0", "t3")  # t1 and t2 wait for t0's training without a worker
    schedule.end(a, succeeded=True)
    c = schedule.take()
    assert c.id == "t4"  # a leader before the followers that are free now
    assert [schedule.take().id, schedule.take().id] == ["t1", "t2"]
    assert schedule.take() is None
    assert not schedule


def test_followers_wait_while_their_leader_runs():
    schedule = Schedule([trial(0, "a"), trial(1, "a")])
    leader = schedule.take()
    assert schedule.take() is None
    assert schedule
    schedule.end(leader, succeeded=True)
    assert schedule.take().id == "t1"


def test_after_a_leaders_failure_one_follower_leads():
    schedule = Schedule([trial(0, "a"), trial(1, "a"), trial(2, "a")])
    schedule.end(schedule.take(), succeeded=False)
    leader = schedule.take()
    assert leader.id == "t1"
    assert schedule.take() is None
    schedule.end(leader, succeeded=True)
    assert schedule.take().id == "t2"


def test_threads_share_the_cpus():
    def threaded(threads):
        return [PlannedTrial("t", "k", TrialConfig(scheme="fp32", threads=threads), "t")]

    assert default_workers(threaded(1), lambda: 8) == 8
    assert default_workers(threaded(3), lambda: 8) == 2
    assert default_workers(threaded(16), lambda: 8) == 1
    gpu = PlannedTrial("t", "k", TrialConfig(scheme="fp32", device="cuda"), "t")
    assert default_workers([*threaded(1), gpu], lambda: 8) == 1  # they would share its memory and its time
