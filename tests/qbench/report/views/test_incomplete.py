from pathlib import Path

from planted import record, studies_of
from planted import study as plant

from qbench.report.model.report_model import make_report
from qbench.report.study import Study
from qbench.report.views.incomplete import incomplete


def test_failed_and_missing_trials_with_what_is_known_of_them():
    settings = {"model": "digits-convnet", "data": "digits", "split_seed": 0, "epochs": 3}
    waiting = {"scheme": "fp32", "seed": 7, "trial_id": "w", **settings}
    records = (record("fp32", 0), record("x", 1, status="failed"))
    view = incomplete(make_report([Study("s", Path("runs/s"), records, {}, (waiting,))]))
    assert view.rows == (
        ("x", 1, "failed", "ValueError: no", records[1].trial_id, "runs/s"),
        ("fp32", 7, "not run", None, "w", "runs/s"),
    )


def test_a_planned_trial_of_which_nothing_is_known_is_a_row_too():
    view = incomplete(make_report(studies_of([record("fp32", 0)], 3)))
    assert view.rows == ((None, None, "not run", None, None, "."),) * 2


def test_trials_of_two_sweeps_are_named_with_their_sweep():
    failed = record("fp32", 5, status="failed")
    first, second = plant(name="first"), plant(name="second")
    second = Study("second", second.folder, (*second.records, failed), {}, ())
    view = incomplete(make_report([first, second]))
    assert view.rows == (("fp32 folder=second", 5, "failed", "ValueError: no", failed.trial_id, "second"),)


def test_a_complete_sweep_has_none():
    assert incomplete(make_report([plant()])).missing == "every planned trial is done"
    assert incomplete(make_report(studies_of([]))).missing == "no trial is planned"
