import json
import re

import pytest
from offline_records import runs

from qbench.errors import UserError
from qbench.sweep.plan import PlannedTrial, load_training, plan_trial
from qbench.sweep.trial_runner import Setup, TrialRunner
from qbench.sweep.wandb_service import WandbService, wandb_mode
from qbench.sweep.wandb_tables import run_tables
from qbench.trial.config import TrialConfig
from qbench.trial.details import read_details
from qbench.trial.identity import digest
from qbench.trial.record import TrialRecord


def records(folder):
    """What wandb wrote: every record of every offline run. Ends its service, which writes behind."""
    return [record for _, found in runs(folder) for record in found]


@pytest.fixture
def online_free(workplace, monkeypatch):
    """A real offline wandb, with what could reach outside taken away."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    for name in ("WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(workplace / "out" / "wandb" / name))
    yield workplace
    import wandb

    wandb.teardown()


def trial(**config):
    made = TrialConfig(scheme="fp32", epochs=3, **config)
    return PlannedTrial(f"trial-{made.seed}", "training", made, f"fp32 seed={made.seed}")


def service(folder, **changes):
    settings = {"sweep_id": "abcd1234", "sweep_name": "my sweep", "project": "quant", "notes": "why", **changes}
    return WandbService(folder / "out", "offline", **settings)


class LogsAnEpoch:
    """A training that logs as Lightning does."""

    def __init__(self, fake, fail=False):
        self.fake, self.fail = fake, fail
        self.resolve = fake.resolve

    def run_trial(self, trial, folder, *, logger=None, on_epoch=None):
        for epoch in range(3):
            logger.log_metrics({"val/accuracy": 0.5 + epoch / 10}, step=epoch)
        if self.fail:
            raise ValueError("no")
        return self.fake.run_trial(trial, folder, on_epoch=on_epoch)


def run(folder, training, made, wandb_service):
    (folder / "out").mkdir(exist_ok=True)
    runner = TrialRunner(Setup("fake_training", folder / "out", (), wandb_service), training)
    return runner.run(made, lambda *_: None)


def test_a_trial_is_an_offline_run_with_config_history_and_summary(fake, online_free, capfd):
    result, wandb_failure = run(online_free, LogsAnEpoch(fake), trial(seed=1), service(online_free))
    assert result.error is None
    assert wandb_failure is None
    found = records(online_free / "out")
    (run_record,) = [record.run for record in found if record.HasField("run")]
    assert run_record.run_group == "abcd1234"
    assert run_record.run_id == digest("abcd1234", "trial-1")
    assert run_record.display_name == "fp32 seed=1"
    assert run_record.project == "quant"
    assert run_record.notes == "why"
    assert list(run_record.tags) == ["my sweep", "fp32", "digits-convnet", "digits"]
    # A sweep id that the server did not make would keep it from taking the run.
    assert run_record.sweep_id == ""
    config = {item.key: item.value_json for item in run_record.config.update}
    assert config["scheme"] == '"fp32"'
    assert config["seed"] == "1"
    assert config["sweep_id"] == '"abcd1234"'
    history = [
        {(item.key or item.nested_key[0]): item.value_json for item in record.history.item}
        for record in found
        if record.HasField("history")
    ]
    assert [row["val/accuracy"] for row in history] == ["0.5", "0.6", "0.7"]
    assert [row["trainer/global_step"] for row in history] == ["0", "1", "2"]
    summary = {
        item.key or item.nested_key[0]: item.value_json
        for record in found
        if record.HasField("summary")
        for item in record.summary.update
    }
    assert float(summary["test/accuracy"]) == pytest.approx(38 / 40)
    assert float(summary["cost/weight_bytes"]) == 3200
    assert [record.exit.exit_code for record in found if record.HasField("exit")] == [0]
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_no_key_and_no_file_outside_the_output(fake, online_free):
    run(online_free, LogsAnEpoch(fake), trial(), service(online_free))
    home = online_free / "home"
    assert not [path for path in home.rglob("*") if path.is_file()]
    for path in (online_free / "out").rglob("*"):
        if path.is_file():
            assert b"k" * 40 not in path.read_bytes(), path


@pytest.fixture
def real(online_free):
    """A real training below the runner."""
    return load_training()


def run_real(folder, training, scheme):
    made = TrialConfig.from_mapping({"scheme": scheme, "model_options": {"width": 4}, "epochs": 3})
    (folder / "out").mkdir(exist_ok=True)
    runner = TrialRunner(Setup("qbench.trial.run", folder / "out", (), service(folder)), training)
    planned = plan_trial(made, training)
    result, wandb_failure = runner.run(planned, lambda *_: None)
    assert (result.error, wandb_failure) == (None, None)
    return planned, result


def summary_of(found):
    """The summary as it is at the end: the last update of each key wins."""
    updates = [item for record in found if record.HasField("summary") for item in record.summary.update]
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in updates}


def test_a_run_has_its_tables_and_they_are_those_of_the_trial(real, online_free):
    planned, result = run_real(online_free, real, "binarynet")
    found = records(online_free / "out")
    summary = summary_of(found)
    details = read_details(online_free / "out", planned.id)
    expected = {
        each.name: each
        for each in run_tables(TrialRecord(planned.id, "done", {}, result.predictions, result.labels), details)
    }
    assert len(expected) == 4
    (folder,) = (online_free / "out" / "wandb").glob("offline-run-*")
    for name, table in expected.items():
        assert summary[name]["_type"] == "table-file"
        stored = json.loads((folder / "files" / summary[name]["path"]).read_text())
        assert (stored["columns"], stored["data"]) == (list(table.columns), table.rows)
        assert summary[name]["nrows"] == len(table.rows)
    files = {file.path for record in found if record.HasField("files") for file in record.files.files}
    assert {summary[name]["path"] for name in expected} <= files


def test_the_summary_shows_the_best_epoch_and_the_rows_own_metrics(real, online_free):
    _, result = run_real(online_free, real, "binarynet")
    found = records(online_free / "out")
    metrics = {record.metric.name: record.metric for record in found if record.HasField("metric")}
    assert metrics["val/accuracy"].summary.max
    assert metrics["train/loss"].summary.min
    assert metrics["val/accuracy"].step_metric == "trainer/global_step"
    history = [
        {(item.key or item.nested_key[0]): json.loads(item.value_json) for item in record.history.item}
        for record in found
        if record.HasField("history")
    ]
    assert len(history) == 3
    assert {"flips/conv1", "flips/out", "val/accuracy", "train/loss"} <= set(history[0])
    summary = summary_of(found)
    # The row's value stands where the maximum of the history stood, and is the same.
    assert summary["val/accuracy"] == result.row["val/accuracy"] == max(row["val/accuracy"] for row in history)
    assert summary["train/loss"] == {"min": min(row["train/loss"] for row in history)}
    expected = {key: value for key, value in result.row.items() if "/" in key and value is not None}
    assert {key: summary[key] for key in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("scheme", "form", "file"),
    [
        ("binarynet", "packed", "wandb/models/{id}.safetensors"),
        ("int8-kl", "onnx", "wandb/models/{id}.onnx"),
        ("fp32", "weights", "trainings/{key}/weights.safetensors"),
    ],
)
def test_the_network_is_an_artifact_that_names_its_file(scheme, form, file, real, online_free):
    if form == "onnx":
        pytest.importorskip("onnx")
    planned, result = run_real(online_free, real, scheme)
    artifacts = [record.artifact for record in records(online_free / "out") if record.HasField("artifact")]
    (model,) = [artifact for artifact in artifacts if artifact.type == "model"]
    assert model.name == f"model-{planned.id}"
    keys = ("test/accuracy", "cost/weight_bytes", "cost/energy_uj")
    assert json.loads(model.metadata) == {"form": form, "scheme": scheme, **{key: result.row[key] for key in keys}}
    (entry,) = model.manifest.contents
    path = online_free / "out" / file.format(id=planned.id, key=planned.training_key)
    assert entry.local_path == str(path)
    assert entry.size == path.stat().st_size
    copies = [each for each in (online_free / "out" / "wandb").rglob("*") if each.name == path.name and each != path]
    assert copies == []


def test_the_result_is_kept_if_a_table_cannot_be_made(real, online_free, monkeypatch):
    from qbench.sweep import wandb_run

    monkeypatch.setattr(wandb_run, "run_tables", lambda *_: 1 / 0)
    made = TrialConfig.from_mapping({"scheme": "fp32", "model_options": {"width": 4}, "epochs": 1})
    (online_free / "out").mkdir()
    runner = TrialRunner(Setup("qbench.trial.run", online_free / "out", (), service(online_free)), real)
    result, wandb_failure = runner.run(plan_trial(made, real), lambda *_: None)
    assert result.error is None
    assert wandb_failure == "ZeroDivisionError: division by zero"
    exits = [record.exit.exit_code for record in records(online_free / "out") if record.HasField("exit")]
    assert exits == [0]


def test_a_failed_trial_ends_its_run_as_failed(fake, online_free):
    result, _ = run(online_free, LogsAnEpoch(fake, fail=True), trial(), service(online_free))
    assert re.fullmatch(r"ValueError: no \(.*test_wandb_service\.py, line \d+\)", result.error)
    exits = [record.exit.exit_code for record in records(online_free / "out") if record.HasField("exit")]
    assert exits == [1]


def test_a_trial_run_again_replaces_its_run(fake, online_free):
    for _ in range(2):
        run(online_free, LogsAnEpoch(fake), trial(), service(online_free))
    assert len(list((online_free / "out" / "wandb").glob("offline-run-*"))) == 1


def test_the_result_is_kept_if_wandb_cannot_start(fake, online_free, monkeypatch):
    import wandb

    def refuse(**_):
        raise wandb.errors.CommError("no room\nfor you")

    monkeypatch.setattr(wandb, "init", refuse)
    result, wandb_failure = run(online_free, fake, trial(), service(online_free))
    assert result.error is None
    assert result.row["scheme"] == "fp32"
    assert wandb_failure == "CommError: no room for you"


def test_after_a_failed_start_wandb_is_left_alone(fake, online_free, monkeypatch):
    import wandb

    calls = []
    monkeypatch.setattr(wandb, "init", lambda **_: calls.append(1) or 1 / 0)
    (online_free / "out").mkdir()
    runner = TrialRunner(Setup("fake_training", online_free / "out", (), service(online_free)), fake)
    failures = [runner.run(trial(seed=seed), lambda *_: None)[1] for seed in (0, 1)]
    assert failures == ["ZeroDivisionError: division by zero", None]
    assert len(calls) == 1


def test_the_result_is_kept_if_wandb_breaks_in_the_middle(fake, online_free, monkeypatch):
    class BreaksWandb(LogsAnEpoch):
        def run_trial(self, trial, folder, *, logger=None, on_epoch=None):
            monkeypatch.setattr(type(logger.experiment), "log", lambda *_, **__: 1 / 0)
            return super().run_trial(trial, folder, logger=logger, on_epoch=on_epoch)

    result, wandb_failure = run(online_free, BreaksWandb(fake), trial(), service(online_free))
    assert result.error is None
    assert result.row["scheme"] == "fp32"
    assert wandb_failure == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("value", "mode"),
    [(None, "offline"), ("", "offline"), ("online", "online"), ("disabled", "disabled"), ("dryrun", "offline")],
)
def test_the_mode_is_the_users_and_offline_by_default(monkeypatch, value, mode):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if value is not None:
        monkeypatch.setenv("WANDB_MODE", value)
    assert wandb_mode() == mode


def test_an_unknown_mode_is_refused(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "onlin")
    with pytest.raises(UserError, match="WANDB_MODE: unknown mode 'onlin'"):
        wandb_mode()
