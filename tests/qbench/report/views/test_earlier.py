import os
from dataclasses import replace

from planted import record, study
from planted import write as write_study

from qbench.report.model.report_model import make_report
from qbench.report.study import read_study
from qbench.report.views.earlier import earlier


def test_trials_beside_the_plans_are_listed_oldest_first_with_the_reason(tmp_path):
    folder = write_study(study({"fp32": (0.9, 900, 30.0)}), tmp_path / "run")
    same = record("fp32", 0)  # as the plan's first trial, of another version of the code
    other = record("binarynet", 7, 0.8, **{"model_options.width": 8})
    wide = record("binarynet", 7, 0.8, **{"model_options.width": 16})
    for number, each in enumerate((wide, other, same)):
        made = replace(each, trial_id=f"old{number}", row={**each.row, "trial_id": f"old{number}"})
        path = folder / "trials" / f"old{number}.json"
        path.write_text(made.to_json())
        os.utime(path, (86_400.0 * number, 86_400.0 * number))
    model = make_report([read_study(folder)])
    found = [(r["group"], r["seed"], r["why"], r["written"], r["trial_id"]) for r in earlier(model).records()]
    assert found == [
        ("binarynet width=16", 7, "not in the plan", "1970-01-01 00:00", "old0"),
        ("binarynet width=8", 7, "not in the plan", "1970-01-02 00:00", "old1"),
        ("fp32", 0, "the code changed", "1970-01-03 00:00", "old2"),
    ]
    # They are in no number: three runs of one group, as without them.
    assert [(group.name, group.runs) for group in model.groups] == [("fp32", 3)]
    assert (model.planned, model.done) == (3, 3)


def test_a_folder_without_others_says_so(tmp_path):
    folder = write_study(study({"fp32": (0.9, 900, 30.0)}), tmp_path / "run")
    view = earlier(make_report([read_study(folder)]))
    assert (view.rows, view.missing) == ((), "the folder holds no other trial than those of its plan")
