import json

import planted

from qbench.report.model.report_model import make_report
from qbench.report.wandb.private import workspace_of, workspace_values
from qbench.report.wandb.sweep_runs import baseline_runs
from qbench.report.wandb.workspace import make_workspace


def test_trials_are_grouped_and_held_against_the_float32_runs():
    model = make_report([planted.study()])
    settings = make_workspace(model, "lab", "quant").runset_settings
    assert settings.filters == "Metric(\"JobType\") == 'trial' and Metric(\"Group\") in ['c6c6c735']"
    assert [(key.section, key.name) for key in settings.groupby] == [("config", "scheme")]
    pinned = baseline_runs(model)
    assert settings.baseline_run == pinned[0]
    assert settings.pinned_runs == pinned


def test_nested_settings_that_vary_are_columns():
    narrow, wide = planted.study(), planted.study(**{"model_options.width": 64})
    both = type(narrow)("planted", narrow.folder, (*narrow.records, *wide.records), {}, (), narrow.origin)
    settings = make_workspace(make_report([both]), "lab", "quant").runset_settings
    assert settings.pinned_columns[:3] == [
        "run:displayName", "config:scheme.value", "config:model_options.value.width",
    ]  # fmt: skip
    assert [key.name for key in settings.groupby] == ["scheme", "model_options.width"]


def test_without_the_sweeps_file_there_is_no_baseline():
    settings = make_workspace(make_report([planted.study(origin={"file": None})]), "lab", "quant").runset_settings
    assert settings.baseline_run is None
    assert settings.pinned_runs == []


def test_the_workspace_reads_back_as_it_was_written():
    made = make_workspace(make_report([planted.study()]), "lab", "quant")
    values = json.loads(json.dumps(workspace_values(made)))
    again = workspace_of(values)
    assert workspace_values(again) == values
    assert [section.name for section in again.sections] == [
        "Accuracy and costs", "By group", "Training", "Differences between runs",
    ]  # fmt: skip
    assert [[type(panel).__name__ for panel in section.panels] for section in again.sections] == [
        ["ScatterPlot", "ScatterPlot", "ParallelCoordinatesPlot"], ["BarPlot"] * 4, ["LinePlot"] * 2, ["RunComparer"],
    ]  # fmt: skip
