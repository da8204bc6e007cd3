"""What a trial keeps beside its record, against the trial's own network, history and data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from qbench.nn.quant_layer import quant_layers
from qbench.ptq import calibration
from qbench.trial import run as training
from qbench.trial.collected_details import history_columns, rounded
from qbench.trial.config import TrialConfig
from qbench.trial.details import TrialDetails, details_file, read_details
from qbench.trial.finished.module import open_module
from qbench.trial.record import TrialRecord
from qbench.trial.resolved import resolve
from qbench.trial.result import TrialResult
from qbench.trial.run import run_trial

MLP: dict[str, Any] = {"model": "digits-mlp", "model_options": {"hidden": 16, "layers": 1}, "epochs": 2}
CONV: dict[str, Any] = {"model": "digits-convnet", "model_options": {"width": 4}, "epochs": 2}


def run(folder: Path, scheme: str, **fields: Any) -> tuple[TrialResult, TrialDetails]:
    trial = resolve(TrialConfig.from_mapping({"scheme": scheme, **(fields or MLP)}))
    result = run_trial(trial, folder)
    details = read_details(folder, trial.trial_id)
    assert details is not None
    return result, details


def network(result: TrialResult, folder: Path) -> Any:
    row = result.row
    record = TrialRecord(row["trial_id"], "done", row, result.predictions, result.labels, folder=folder)
    return open_module(record).model


def test_history_is_the_trainings_and_shared_with_it(tmp_path: Path) -> None:
    fp32, own = run(tmp_path, "fp32")
    _, shared = run(tmp_path, "int8-minmax")
    assert own.history["epoch"] == [1.0, 2.0]
    assert max(own.history["val/accuracy"]) == pytest.approx(fp32.row["val/accuracy"], rel=1e-5)  # type: ignore[type-var]
    assert own.history["train/loss"][-1] == pytest.approx(fp32.row["training/loss"], rel=1e-5)
    assert list(own.history) == ["epoch", "train/loss", "val/accuracy", "val/loss"]
    assert shared.history == own.history
    _, binary = run(tmp_path, "binarynet")
    assert set(binary.history) == {*own.history, "flips/fc1", "flips/out"}


def test_a_history_has_none_where_an_epoch_has_no_value() -> None:
    epochs = [{"mine": 2.0, "val/accuracy": 0.5, "epoch": 0.0}, {"val/accuracy": float("nan"), "epoch": 1.0}]
    assert history_columns(epochs) == {"epoch": [1.0, 2.0], "val/accuracy": [0.5, None], "mine": [2.0, None]}
    assert history_columns([]) == {}


@pytest.mark.parametrize("scheme", ["fp32", "binarynet", "int8-kl"])
def test_layers_add_up_to_the_row(scheme: str, tmp_path: Path) -> None:
    result, details = run(tmp_path, scheme, **CONV)
    kinds = ("arithmetic_uj", "weight_traffic_uj", "activation_traffic_uj")
    for end, key in enumerate(("cost/energy_uj_low", "cost/energy_uj_high")):
        total = sum(layer[kind][end] for layer in details.layers for kind in kinds)
        assert total == pytest.approx(result.row[key], rel=1e-5)
    assert sum(layer["macs"] for layer in details.layers) == result.row["cost/macs"]
    bytes_ = sum(layer[key] for layer in details.layers for key in ("weight_bytes", "scale_bytes", "other_bytes"))
    assert bytes_ == result.row["cost/weight_bytes"]


def test_latent_weights_are_those_of_the_best_epoch(tmp_path: Path) -> None:
    result, details = run(tmp_path, "binarynet")
    layers = dict(quant_layers(network(result, tmp_path)))
    assert [each["layer"] for each in details.latent] == list(layers)
    for each in details.latent:
        weight = layers[each["layer"]].weight.detach()
        assert (each["low"], each["high"], len(each["counts"])) == (-1.0, 1.0, 64)
        assert each["counts"] == torch.histc(weight.double(), 64, -1.0, 1.0).long().tolist()


def test_latent_weights_without_a_clip_reach_from_end_to_end(tmp_path: Path) -> None:
    result, details = run(tmp_path, "bitwise")
    for each, (_, layer) in zip(details.latent, quant_layers(network(result, tmp_path)), strict=True):
        ends = layer.weight.detach().aminmax()
        assert (each["low"], each["high"]) == pytest.approx((float(ends.min), float(ends.max)), rel=1e-5)
        assert sum(each["counts"]) == layer.weight.numel()


def test_filters_are_those_that_evaluation_uses(tmp_path: Path) -> None:
    result, details = run(tmp_path, "binarynet", **CONV)
    layers = dict(quant_layers(network(result, tmp_path)))
    assert [each["layer"] for each in details.filters] == ["conv1", "conv2", "conv3", "conv4"]
    mean = np.mean([each["distinct"] / (each["filters"] * each["input_maps"]) for each in details.filters])
    assert mean == pytest.approx(result.row["filters/unique_fraction"])
    for each in details.filters:
        assert each["unique_fraction"] == pytest.approx(each["distinct"] / (each["filters"] * each["input_maps"]), 1e-5)
        assert 1 <= len(each["most"]) <= 12
        shown = each["most"][0]
        signs = np.array([2 * int(bit) - 1 for bit in shown["bits"]]).reshape(shown["rows"], shown["columns"])
        weight = np.where(layers[each["layer"]].weight.detach().numpy() >= 0, 1, -1)
        same = (weight == signs).all(axis=(2, 3)).sum() + (weight == -signs).all(axis=(2, 3)).sum()
        assert shown["count"] == same
    _, latent = run(tmp_path, "binaryconnect-stochastic", **CONV)
    assert latent.filters == []  # evaluation uses the real-valued weights
    assert len(latent.latent) == 6


def test_int8_trials_keep_their_report_ranges_and_images(tmp_path: Path) -> None:
    result, details = run(tmp_path, "int8-kl", **MLP, calibration_images=40)
    assert [layer["name"] for layer in details.quantization["layers"]] == ["fc1", "out"]
    assert details.quantization["accuracy"] == pytest.approx(result.row["val/accuracy"], rel=1e-5)
    assert [each["layer"] for each in details.ranges] == ["fc1", "out"]
    first, last = details.ranges
    assert (first["method"], last["method"]) == ("minmax", "kl")
    assert (sum(first["counts"]), sum(last["counts"])) == (40 * 64, 40 * 16)
    assert first["divergence"] is None
    splits = resolve(TrialConfig.from_mapping({"scheme": "int8-kl", **MLP})).dataset.load(0)
    seen = details.calibration
    assert (seen["seed"], seen["images"], len(seen["indices"])) == (0, 40, 40)
    images = splits.train[torch.tensor(seen["indices"])].images
    assert torch.equal(images, calibration.calibration_images(splits, 40, 0).images)


def test_ranges_are_kept_of_shared_statistics_too(tmp_path: Path) -> None:
    run(tmp_path, "int8-minmax", **CONV)
    _, shared = run(tmp_path, "int8-kl", **CONV)
    _, alone = run(tmp_path / "alone", "int8-kl", **CONV)
    assert shared.ranges == alone.ranges
    assert len(shared.ranges) == 6
    low = [min(each["divergence"]["kl"]) for each in shared.ranges if each["divergence"] is not None]
    assert len(low) == 5
    assert all(value >= 0 for value in low)


@pytest.mark.parametrize("scheme", ["fp32", "binarynet", "int8-lsq"])
def test_what_a_scheme_does_not_have_is_empty(scheme: str, tmp_path: Path) -> None:
    _, details = run(tmp_path, scheme)
    assert (details.ranges, details.calibration) == ([], {})
    assert bool(details.quantization) == (scheme == "int8-lsq")
    assert bool(details.latent) == (scheme == "binarynet")
    assert details.filters == []


def metrics(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if not key.startswith("time/")}


@pytest.mark.parametrize("scheme", ["binarynet-stochastic", "int8-kl"])
def test_details_change_no_row_and_no_random_number(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def both(folder: Path) -> tuple[list[Any], torch.Tensor]:
        results = [
            run_trial(resolve(TrialConfig.from_mapping({"scheme": scheme, "seed": s, **MLP})), folder) for s in (0, 1)
        ]
        return [(metrics(result.row), result.predictions) for result in results], torch.rand(3)

    with_details = both(tmp_path / "with")
    monkeypatch.setattr(training, "collect_details", lambda *_: TrialDetails())
    without = both(tmp_path / "without")
    assert with_details[0] == without[0]
    assert torch.equal(with_details[1], without[1])


def test_a_file_is_small_and_its_numbers_are_rounded(tmp_path: Path) -> None:
    result, _ = run(tmp_path, "int8-kl", **CONV)
    text = details_file(tmp_path, result.row["trial_id"]).read_text()
    assert len(text) < 40_000

    def floats(value: Any) -> list[float]:
        if isinstance(value, dict):
            return [each for part in value.values() for each in floats(part)]
        if isinstance(value, list):
            return [each for part in value for each in floats(part)]
        return [value] if isinstance(value, float) else []

    found = floats(json.loads(text))
    assert len(found) > 100
    assert all(float(f"{value:.6g}") == value for value in found)
    assert rounded({"a": [1.23456789, 123456789, None, True]}) == {"a": [1.23457, 123456789, None, True]}
