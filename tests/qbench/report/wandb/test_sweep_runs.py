import planted
import pytest

from qbench.report.model.report_model import make_report
from qbench.report.wandb.sweep_runs import MAX_PINNED, baseline_runs, grouping, runs_of, sweep_id_of
from qbench.sweep.config import load_sweep
from qbench.trial.identity import digest


def test_the_sweeps_id_is_that_of_its_file(tmp_path):
    text = "name: planted\nmethod: grid\nparameters:\n  seed: {values: [0]}\n"
    (tmp_path / "sweep.yaml").write_text(text)
    config = load_sweep(tmp_path / "sweep.yaml")
    study = planted.study(name=config.name, origin={"file": text})
    assert sweep_id_of(study) == config.sweep_id
    assert runs_of(make_report([study])).sweep_ids == (config.sweep_id,)


@pytest.mark.parametrize("file", [None, ""])
def test_without_the_file_runs_are_known_by_their_trials(file):
    study = planted.study(origin={"file": file})
    found = runs_of(make_report([study]))
    assert found.sweep_ids == ()
    assert found.trial_ids == tuple(record.trial_id for record in study.records)
    assert baseline_runs(make_report([study])) == []


def test_the_baseline_is_the_float32_runs_by_seed():
    study = planted.study(seeds=(2, 0, 1))
    sweep_id = digest("planted", "name: planted\n")[:8]
    of_seed = {r.row["seed"]: r.trial_id for r in study.records if r.row["scheme"] == "fp32"}
    expected = [digest(sweep_id, of_seed[seed]) for seed in (0, 1, 2)]
    assert baseline_runs(make_report([study])) == expected


def test_no_more_runs_are_pinned_than_wandb_takes():
    study = planted.study(seeds=range(MAX_PINNED + 3))
    assert len(baseline_runs(make_report([study]))) == MAX_PINNED


def test_groups_are_made_by_the_scheme_and_what_varies():
    assert grouping(["model_options.width", "folder"]) == ["scheme", "model_options.width", "sweep_name"]
