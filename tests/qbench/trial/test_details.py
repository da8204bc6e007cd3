"""The details file: what is written is read, and what is damaged is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qbench.errors import UserError
from qbench.trial.details import TrialDetails, details_file, read_details, write_details


def test_what_is_written_is_read(tmp_path: Path) -> None:
    details = TrialDetails(
        history={"epoch": [1.0, 2.0], "train/loss": [0.5, None]},
        layers=[{"name": "conv1", "macs": 3}],
        calibration={"seed": 0, "images": 1, "indices": [7]},
    )
    write_details(tmp_path, "abc", details)
    assert details_file(tmp_path, "abc").read_text().count("\n") == 1
    assert read_details(tmp_path, "abc") == details
    assert [path.name for path in (tmp_path / "details").iterdir()] == ["abc.json"]


def test_a_trial_without_details_has_none(tmp_path: Path) -> None:
    assert read_details(tmp_path, "abc") is None
    write_details(tmp_path, "abc", TrialDetails())
    file = details_file(tmp_path, "abc")
    file.write_text(file.read_text().replace('"format":1', '"format":2'))
    assert read_details(tmp_path, "abc") is None  # of another version


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("history", []),
        ("history", {"epoch": [1.0], "train/loss": []}),
        ("history", {"epoch": 1.0}),
        ("history", {"epoch": ["1"]}),
        ("layers", {}),
        ("layers", [1]),
        ("latent", [{"name": "conv1"}]),
        ("filters", None),
        ("ranges", [{}]),
        ("quantization", []),
        ("calibration", "no"),
    ],
)
def test_a_part_of_another_type_is_named(part: str, value: Any, tmp_path: Path) -> None:
    write_details(tmp_path, "abc", TrialDetails())
    file = details_file(tmp_path, "abc")
    file.write_text(json.dumps(json.loads(file.read_text()) | {part: value}))
    with pytest.raises(UserError, match=rf"abc\.json: is damaged \({part}\); delete it"):
        read_details(tmp_path, "abc")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "more": []}', "\x00"])
def test_a_file_of_something_else_is_damaged(text: str, tmp_path: Path) -> None:
    write_details(tmp_path, "abc", TrialDetails())
    details_file(tmp_path, "abc").write_text(text)
    with pytest.raises(UserError, match=r"abc\.json: is damaged; delete it"):
        read_details(tmp_path, "abc")


def test_a_number_that_is_not_finite_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_details(tmp_path, "abc", TrialDetails(quantization={"accuracy": float("nan")}))
    assert list((tmp_path / "details").iterdir()) == []
