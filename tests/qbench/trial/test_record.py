"""A trial's file: whole, damaged, or something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qbench.trial.config import TrialConfig
from qbench.trial.record import TrialRecord, read_record

CONFIG = TrialConfig(scheme="binarynet", model_options={"width": 6})
ROW = {**CONFIG.flat(), "trial_id": "abc", "training_key": "def", "test/accuracy": 0.5, "filters/op_reduction": None}
RECORD = TrialRecord("abc", "done", ROW, [1, 2], [1, 3])


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "trials" / "abc.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    failed = TrialRecord("abc", "failed", ROW, [], [], "no luck: µ")
    for record in (RECORD, failed):
        found = read_record(written(tmp_path, record.to_json()))
        assert found == record
        assert found.config == CONFIG
        assert found.folder == tmp_path
        assert found.to_json() == record.to_json()
    assert list(json.loads(RECORD.to_json())) == ["trial_id", "status", "row", "predictions", "labels", "error"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '"text"',
        "{}",
        RECORD.to_json()[:-20],
        RECORD.to_json().encode("utf-16"),
        b"\xff\xfe\x00",
    ],
)
def test_a_file_of_something_else_is_no_record(text: str | bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        read_record(written(tmp_path, text))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trial_id", 3),
        ("status", "running"),
        ("status", None),
        ("row", None),
        ("row", []),
        ("row", {"training_key": 3}),
        ("row", {}),
        ("predictions", None),
        ("predictions", {"0": 1}),
        ("labels", "11"),
    ],
)
def test_a_wrong_value_is_no_record(key: str, value: Any, tmp_path: Path) -> None:
    values = {**json.loads(RECORD.to_json()), key: value}
    with pytest.raises(ValueError, match=f"no trial's record: {key}"):
        read_record(written(tmp_path, json.dumps(values)))


@pytest.mark.parametrize("key", ["trial_id", "status", "row", "predictions", "labels", "error"])
def test_a_missing_key_is_no_record(key: str, tmp_path: Path) -> None:
    values = {name: value for name, value in json.loads(RECORD.to_json()).items() if name != key}
    with pytest.raises(ValueError, match=f"no trial's record: '{key}'"):
        read_record(written(tmp_path, json.dumps(values)))


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_record(tmp_path / "trials" / "abc.json")
