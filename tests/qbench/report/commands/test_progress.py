import doctest
import io

import pytest
from planted import record
from rich.console import Console

from qbench.report.commands import time_left
from qbench.report.commands.progress import BarProgress, LineProgress, metrics_text
from qbench.report.commands.steps import StepBar, StepLines
from qbench.report.commands.time_left import SweepClock
from qbench.sweep.plan import PlannedTrial
from qbench.trial.config import TrialConfig

METRICS = {"epoch": 0.0, "val/accuracy": 0.9512, "train/loss": 0.12345, "flips/conv1": 0.1}


def trial(name="a", epochs=10):
    return PlannedTrial(name, name, TrialConfig(scheme="fp32"), f"fp32 {name}", epochs)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_durations_in_words():
    assert doctest.testmod(time_left).failed == 0


def test_what_is_left_is_in_proportion(clock):
    times = SweepClock(clock)
    times.begin(4)
    times.started("a", 10)
    times.started("b", 10)
    assert (times.trial_left("a"), times.sweep_left()) == ("", "")  # nothing is known yet
    clock.now = 20.0
    times.epoch("a", 2, 10)
    times.epoch("a", 4, 10)
    clock.now = 80.0
    times.epoch("a", 8, 10)
    # From epoch 2 at 20 s on: 6 epochs in 60 s, 2 are left.
    assert times.trial_left("a") == "20 s left"
    # 0.8 of a trial in 80 s; 3.2 are left.
    assert times.sweep_left() == "5 min left"
    times.done("a")
    times.epoch("b", 10, 10)
    times.done("b")
    # 2 trials in 80 s, 2 are left.
    assert times.sweep_left() == "80 s left"


def test_a_trial_that_goes_on_is_timed_from_where_it_goes_on(clock):
    times = SweepClock(clock)
    times.begin(1)
    times.started("a", 100)
    clock.now = 5.0
    times.epoch("a", 91, 100)
    assert times.trial_left("a") == ""  # one epoch says nothing of another
    clock.now = 7.0
    times.epoch("a", 92, 100)
    assert times.trial_left("a") == "16 s left"


def test_lines_once_a_minute_for_trials_that_take_long(clock):
    stream = io.StringIO()
    progress = LineProgress(stream, clock=clock)
    with progress:
        progress.begin(2, 0)
        progress.started(trial())
        for epoch in range(1, 10):
            clock.now = 25.0 * epoch
            progress.epoch(trial(), epoch, 10, METRICS)
        progress.done(trial(), record(metrics={"test/accuracy": 0.9, "time/train_s": 250.0}))
    assert stream.getvalue().splitlines() == [
        "2 trials, 2 to run",
        "fp32 a: epoch 3/10, loss 0.1235, validation 95.12 %, 3 min left",
        "fp32 a: epoch 6/10, loss 0.1235, validation 95.12 %, 2 min left",
        "fp32 a: epoch 9/10, loss 0.1235, validation 95.12 %, 25 s left",
        "[1/2] fp32 a: accuracy 90.00 %, 250 s",
    ]


def test_every_epoch_where_it_is_wanted(clock):
    stream = io.StringIO()
    progress = LineProgress(stream, epochs=True, clock=clock)
    progress.begin(1, 0)
    progress.started(trial(epochs=2))
    for epoch in (1, 2):
        progress.epoch(trial(epochs=2), epoch, 2, METRICS)
    assert stream.getvalue().splitlines()[1:] == [
        f"fp32 a: epoch {epoch}/2, loss 0.1235, validation 95.12 %" for epoch in (1, 2)
    ]


def test_the_metrics_of_a_module_with_names_of_its_own():
    assert (
        metrics_text({"epoch": 0.0, "train_loss": 1.5, "val_acc": 0.75, "more": 1.0}) == "train_loss 1.5, val_acc 0.75"
    )
    assert metrics_text({}) == ""


def drawn(progress, console):
    console.begin_capture()
    console.print(progress._progress.get_renderable())
    return console.end_capture()


def test_a_trials_bar_has_its_end_before_the_first_epoch(clock):
    console = Console(file=io.StringIO(), width=110, force_terminal=True, color_system=None)
    progress = BarProgress(console, clock)
    progress.begin(3, 1)
    progress.started(trial())
    text = drawn(progress, console)
    assert "trials" in text
    assert "1/3" in text
    assert "fp32 a" in text
    assert "0/10" in text
    clock.now = 30.0
    progress.epoch(trial(), 3, 10, METRICS)
    progress.epoch(trial(), 4, 10, METRICS)
    clock.now = 40.0
    progress.epoch(trial(), 5, 10, METRICS)
    text = drawn(progress, console)
    assert "5/10" in text
    assert "loss 0.1235, validation 95.12 %" in text
    assert "left" in text
    progress.done(trial(), record())
    text = drawn(progress, console)
    assert "fp32 a" not in text
    assert "2/3" in text


def test_steps_are_lines_in_a_pipe():
    stream = io.StringIO()
    with StepLines(stream) as steps:
        steps(1, 2, "set 1: kl")
        steps(2, 2, "set 1: mse\x1b[31m")
    assert stream.getvalue().splitlines() == ["[1/2] set 1: kl", "[2/2] set 1: mse\\x1b[31m"]


def test_steps_are_a_bar_on_a_terminal():
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    with StepBar(console) as steps:
        steps(1, 5, "set 1: kl")
        assert "0/5" in drawn(steps, console)
        steps(3, 5, "set 1: mse")
        text = drawn(steps, console)
    assert "2/5" in text
    assert "set 1: mse" in text
