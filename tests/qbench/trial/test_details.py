"""The details file: what is written is read, and what is damaged is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qbench.errors import UserError
from qbench.trial.details import TrialDetails, details_file, history_csv, history_file, read_details, write_details

WHOLE = TrialDetails(
    history={"epoch": [1.0, 2.0], "train/loss": [0.5, None]},
    layers=[
        {
            "name": "conv1", "op": "float", "weight_format": "float32", "input_format": "float32",
            "weights": 9, "macs": 81, "weight_bytes": 36, "scale_bytes": 0, "other_bytes": 4, "input_bytes": 36,
            "output_bytes": 36, "arithmetic_uj": [0.1, 0.2], "weight_traffic_uj": [0.1, 0.1],
            "activation_traffic_uj": [0.0, 0.0],
        }
    ],
    latent=[{"layer": "conv1", "low": -1.0, "high": 1.0, "counts": [4, 5]}],
    filters=[
        {
            "layer": "conv1", "filters": 1, "input_maps": 1, "size": 9, "positions": 9, "distinct": 1,
            "distinct_signed": 1, "unique_fraction": 1.0, "random_fraction": 1.0,
            "most": [{"bits": "111000111", "rows": 3, "columns": 3, "count": 1}],
        }
    ],
    quantization={
        "layers": [
            {
                "name": "conv1", "weights": None, "sensitivity": 0.9,
                "inputs": {"format": "int8", "low": 0.0, "high": 1.0, "clipped": 0.0, "sqnr_db": None},
            }
        ],
        "float_accuracy": 1.0, "accuracy": 0.9, "images": 10,
    },
    ranges=[
        {
            "layer": "conv1", "method": "kl", "low": 0.0, "high": 1.0, "edge_low": 0.0, "edge_high": 2.0,
            "counts": [3, 1], "divergence": {"threshold": [1.0, 2.0], "kl": [0.1, None]},
        }
    ],
    calibration={"seed": 0, "images": 1, "indices": [7]},
)  # fmt: skip


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_details(tmp_path, "abc", WHOLE)
    assert details_file(tmp_path, "abc").read_text().count("\n") == 1
    assert read_details(tmp_path, "abc") == WHOLE
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
        ("history", {"epoch": [None]}),
        ("history", {"train/loss": [0.5]}),
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
    with pytest.raises(UserError, match=rf"abc\.json: is damaged \({part}[.:].*\); delete it"):
        read_details(tmp_path, "abc")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("layers", 0, "weight_bytes"), "36"),
        (("layers", 0, "weight_bytes"), -36),
        (("layers", 0, "arithmetic_uj"), [0.1]),
        (("latent", 0, "counts"), [0.5]),
        (("filters", 0, "most", 0, "bits"), "111"),
        (("filters", 0, "most", 0, "bits"), "<script>"),
        (("quantization", "layers", 0, "inputs", "clipped"), 1.5),
        (("quantization", "images"), None),
        (("ranges", 0, "divergence", "kl"), [0.1]),
        (("ranges", 0, "low"), True),
        (("calibration", "indices"), {"a": 1}),
    ],
)
def test_a_value_that_no_trial_writes_is_named(place: tuple[str | int, ...], value: Any, tmp_path: Path) -> None:
    write_details(tmp_path, "abc", WHOLE)
    file = details_file(tmp_path, "abc")
    parts = json.loads(file.read_text())
    inner = parts
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    file.write_text(json.dumps(parts))
    with pytest.raises(UserError, match=rf"abc\.json: is damaged \({place[0]}\.") as found:
        read_details(tmp_path, "abc")
    assert "\n" not in str(found.value)


def test_a_number_that_is_none_is_damage_in_what_is_read(tmp_path: Path) -> None:
    write_details(tmp_path, "abc", WHOLE)
    file = details_file(tmp_path, "abc")
    for text in ("NaN", "Infinity", "1e999", "1" * 400):
        file.write_text(file.read_text().replace("0.5", text, 1))
        with pytest.raises(UserError, match=r"abc\.json: is damaged"):
            read_details(tmp_path, "abc")
        write_details(tmp_path, "abc", WHOLE)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "more": []}', "\x00"])
def test_a_file_of_something_else_is_damaged(text: str, tmp_path: Path) -> None:
    write_details(tmp_path, "abc", TrialDetails())
    details_file(tmp_path, "abc").write_text(text)
    with pytest.raises(UserError, match=r"abc\.json: is damaged; delete it"):
        read_details(tmp_path, "abc")


def test_a_number_that_is_not_finite_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_details(tmp_path, "abc", TrialDetails(quantization={"accuracy": float("nan")}))
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == []


def test_the_learning_curve_is_a_file_of_its_own(tmp_path: Path) -> None:
    history: dict[str, list[float | None]] = {
        "flips/conv1": [0.25, None], "val/accuracy": [0.5, 0.75], "epoch": [1.0, 2.0], "train/loss": [1.5, 0.1],
    }  # fmt: skip
    write_details(tmp_path, "abc", TrialDetails(history=history))
    assert history_file(tmp_path, "abc") == tmp_path / "histories" / "abc.csv"
    text = history_file(tmp_path, "abc").read_text()
    assert text == "epoch,train/loss,val/accuracy,flips/conv1\n1,1.5,0.5,0.25\n2,0.1,0.75,\n"
    assert history_csv(history) == text
    write_details(tmp_path, "none", TrialDetails())
    assert not history_file(tmp_path, "none").exists()  # of a trial that did not train
