"""A trial's tables: numbers of its record and details, and no others."""

import pytest

from qbench.sweep import wandb_tables
from qbench.sweep.wandb_tables import run_tables
from qbench.trial.details import TrialDetails
from qbench.trial.record import TrialRecord

LAYER = {
    "name": "conv1", "op": "xnor", "weight_format": "binary", "input_format": "binary", "weights": 1, "macs": 2,
    "weight_bytes": 3, "scale_bytes": 4, "other_bytes": 5, "input_bytes": 6, "output_bytes": 7,
    "arithmetic_uj": [0.1, 0.2], "weight_traffic_uj": [0.3, 0.4], "activation_traffic_uj": [0.5, 0.6],
}  # fmt: skip


def record(labels, predictions):
    return TrialRecord("id0", "done", {}, predictions, labels)


def test_every_table_has_the_numbers_it_was_made_of():
    details = TrialDetails(
        layers=[LAYER],
        latent=[{"layer": "conv1", "low": -1.0, "high": 1.0, "counts": [5, 0, 2, 3]}],
        filters=[{"layer": "conv1", "most": [{"bits": "10", "rows": 1, "columns": 2, "count": 9}]}],
    )
    tables = {each.name: each for each in run_tables(record([0, 0, 2], [0, 2, 2]), details)}
    assert list(tables) == ["tables/confusion", "tables/layers", "tables/filters", "tables/latent_weights"]
    assert tables["tables/confusion"].columns == ("true", "predicted", "count")
    assert tables["tables/confusion"].rows == [[0, 0, 1], [0, 2, 1], [2, 0, 0], [2, 2, 1]]
    layers = tables["tables/layers"]
    (row,) = layers.rows
    assert row == ["conv1", "xnor", "binary", "binary", 1, 2, 3, 4, 5, 6, 7, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert len(layers.columns) == len(row)
    assert dict(zip(layers.columns, row, strict=True))["weight_traffic_uj_high"] == 0.4
    assert tables["tables/filters"].rows == [["conv1", "10", 1, 2, 9]]
    assert tables["tables/latent_weights"].rows == [
        ["conv1", -1.0, -0.5, 5], ["conv1", -0.5, 0.0, 0], ["conv1", 0.0, 0.5, 2], ["conv1", 0.5, 1.0, 3],
    ]  # fmt: skip


def test_tables_without_rows_are_left_out():
    assert [each.name for each in run_tables(record([1], [1]), None)] == ["tables/confusion"]
    assert run_tables(record([], []), TrialDetails()) == []


def test_tables_are_bounded(monkeypatch):
    monkeypatch.setattr(wandb_tables, "MOST_ROWS", 8)
    details = TrialDetails(layers=[LAYER] * 20)
    confusion, layers = run_tables(record([0, 1, 2, 2], [0, 1, 2, 2]), details)
    assert len(layers.rows) == 8
    assert confusion.rows == [[0, 0, 1], [1, 1, 1], [2, 2, 2]]  # nine pairs are too many: those that occur


@pytest.mark.parametrize("labels", [[0, 1]])
def test_a_record_without_all_predictions_is_refused(labels):
    with pytest.raises(ValueError, match="zip"):
        run_tables(record(labels, [0]), None)
