"""Progress while a trial's teacher trains."""

from __future__ import annotations

from qbench.report.commands.progress import metrics_text
from qbench.report.commands.time_left import SweepClock


def test_a_teachers_epochs_say_so() -> None:
    metrics = {"teacher/epoch": 0.0, "teacher/train/loss": 0.25, "teacher/val/accuracy": 0.9}
    assert metrics_text(metrics) == "teacher: loss 0.25, validation 90.00 %"


def test_the_time_left_is_that_of_the_students_own_speed() -> None:
    now = [0.0]
    clock = SweepClock(lambda: now[0])
    clock.begin(1)
    clock.started("t", 4)
    for second, epoch in ((1, 1), (2, 2), (3, 3), (4, 4)):  # the teacher's, a second each
        now[0] = second
        clock.epoch("t", epoch, 4)
    for second, epoch in ((14, 1), (24, 2)):  # the student's, ten seconds each
        now[0] = second
        clock.epoch("t", epoch, 4)
    assert clock.trial_left("t") == "20 s left"
