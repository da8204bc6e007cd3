import csv
import json
import multiprocessing
import os

import pytest

from qbench.errors import UserError
from qbench.sweep.plan import PlannedTrial
from qbench.sweep.store import Store
from qbench.trial.config import TrialConfig
from qbench.trial.result import TrialResult


def trial(seed=0):
    return PlannedTrial(f"id{seed}", f"key{seed}", TrialConfig(scheme="fp32", seed=seed), f"fp32 seed={seed}")


def result(**row):
    return TrialResult({"scheme": "fp32", "seed": 0, **row}, [1, 2], [1, 1])


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "out" / "deep")
    with store.opened():
        yield store


def test_a_result_comes_back_as_it_was(store):
    put = store.put_result(trial(), result(**{"test/accuracy": 0.5, "kernel/agreement": None, "shared": True}))
    assert store.get("id0") == put
    assert put.status == "done"
    assert (put.predictions, put.labels) == ([1, 2], [1, 1])
    assert put.row["test/accuracy"] == 0.5
    assert put.row["trial_id"] == "id0"
    assert store.get("id1") is None


def test_figures_that_are_not_finite_are_null(store):
    store.put_result(trial(), result(**{"a/b": float("nan"), "c/d": float("inf")}))
    assert store.get("id0").row["a/b"] is None
    assert store.get("id0").row["c/d"] is None


def test_a_failure_keeps_its_reason_and_traceback_until_it_succeeds(store):
    store.put_failure(trial(), "ValueError: no", "Traceback ...\nValueError: no\n")
    record = store.get("id0")
    assert (record.status, record.error) == ("failed", "ValueError: no")
    assert record.row["scheme"] == "fp32"
    assert "Traceback" in store.traceback_file("id0").read_text()
    store.put_result(trial(), result())
    assert store.get("id0").status == "done"
    assert not store.traceback_file("id0").exists()


def test_results_are_rows_in_csv_and_json(store):
    records = {
        "id0": store.put_result(trial(0), result(**{"test/accuracy": 0.25, "widths": [1, 2], "note": 'a "b", c'})),
        "id1": store.put_failure(trial(1), "ValueError: no", ""),
    }
    store.write_results([trial(0), trial(1), trial(2)], records)
    rows = json.loads((store.folder / "results.json").read_text())
    assert [row["status"] for row in rows] == ["done", "failed", "not run"]
    assert (rows[2]["seed"], rows[2]["trial_id"], rows[2]["error"]) == (2, "id2", None)
    assert "test/accuracy" not in rows[2]
    assert rows[0]["test/accuracy"] == 0.25
    assert rows[1]["error"] == "ValueError: no"
    with (store.folder / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [(row["seed"], row["status"]) for row in table] == [("0", "done"), ("1", "failed"), ("2", "not run")]
    assert table[0]["test/accuracy"] == "0.25"
    assert table[1]["test/accuracy"] == ""
    assert table[0]["note"] == 'a "b", c'
    assert table[0]["widths"] == "[1, 2]"


def test_a_write_that_fails_leaves_the_old_file_and_no_other(store, monkeypatch):
    store.put_result(trial(), result(**{"test/accuracy": 0.5}))

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        store.put_result(trial(), result(**{"test/accuracy": 0.9}))
    assert store.get("id0").row["test/accuracy"] == 0.5
    assert [path.name for path in store.trials.iterdir()] == ["id0.json"]


def test_files_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        store = Store(tmp_path / "masked")
        with store.opened():
            store.put_result(trial(), result())
        assert (store.trials / "id0.json").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(old)


def test_leftovers_of_a_killed_run_are_removed(tmp_path):
    store = Store(tmp_path)
    with store.opened():
        (store.trials / ".id0.json.abc.tmp").write_text("{")
    with store.opened():
        assert list(store.trials.iterdir()) == []


def test_a_damaged_record_is_said_not_retrained(store):
    (store.trials / "id0.json").write_text('{"trial_id": "id0"')
    with pytest.raises(UserError, match=r"id0\.json: is damaged \(.*\); delete it"):
        store.get("id0")


def hold(folder, ready, done):
    with Store(folder).opened():
        ready.set()
        done.wait(30)


def test_two_sweeps_cannot_share_a_folder(tmp_path):
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path / "out", ready, done))
    other.start()
    try:
        assert ready.wait(30)
        with pytest.raises(UserError, match="another qbench is writing here"), Store(tmp_path / "out").opened():
            pass
    finally:
        done.set()
        other.join()
    with Store(tmp_path / "out").opened():
        pass  # free again


@pytest.mark.parametrize("name", ["results.csv", "results.json", "summary.json", "trials"])
def test_somebody_elses_files_are_not_overwritten(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=f"holds a {name} that qbench did not write"), Store(tmp_path).opened():
        pass
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == [name]


def test_a_store_of_another_format_is_refused(tmp_path):
    (tmp_path / "store.json").write_text('{"format": 99}')
    with pytest.raises(UserError, match="format 99"), Store(tmp_path).opened():
        pass
    (tmp_path / "store.json").write_text("hello")
    with pytest.raises(UserError, match="is not a qbench store"), Store(tmp_path).opened():
        pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"), Store(tmp_path / "file" / "out").opened():
        pass
    with pytest.raises(UserError, match="cannot be written"), Store(tmp_path / "file").opened():
        pass


def test_an_origin_keeps_the_facts_and_adds_runs(store):
    facts = {"name": "mine", "metric": None, "goal": "maximize", "description": None, "file": "a: 1\n"}
    store.write_origin(facts, {"date": "2026-01-01T00:00Z"})
    store.write_origin(facts | {"metric": "val/accuracy"})
    store.write_origin(facts, {"date": "2026-01-02T00:00Z"})
    found = json.loads((store.folder / "origin.json").read_text())
    assert found == facts | {"runs": [{"date": "2026-01-01T00:00Z"}, {"date": "2026-01-02T00:00Z"}]}


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"runs": {}}', "\x00"])
def test_a_damaged_origin_is_said(store, text):
    (store.folder / "origin.json").write_text(text)
    with pytest.raises(UserError, match=r"origin\.json: cannot be read or is damaged; delete it"):
        store.write_origin({"name": "mine"})
    assert (store.folder / "origin.json").read_text() == text


def test_leftover_details_are_removed(tmp_path):
    (tmp_path / "details").mkdir()
    (tmp_path / "details" / ".id0.json.tmp").write_text("{")
    (tmp_path / "details" / "id0.json").write_text("{}")
    with Store(tmp_path).opened():
        assert [path.name for path in (tmp_path / "details").iterdir()] == ["id0.json"]
