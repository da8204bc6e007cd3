"""Calibration methods compared on one network: shared calibration sets, thresholds, spread."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from qbench.cli.app import app
from qbench.data.datasets import get_dataset
from qbench.data.splits import Examples, Splits
from qbench.errors import ConfigError
from qbench.nn.quant_layer import quant_layers
from qbench.ptq import calibration
from qbench.ptq.calibration import calibration_images
from qbench.ptq.method_comparison import MethodResult, compare_methods, method_scheme
from qbench.training.module import QuantModule
from qbench.trial.config import TrialConfig
from qbench.trial.finished.calibration import compare_trial
from qbench.trial.finished.module import open_float_module
from qbench.trial.record import TrialRecord
from qbench.trial.resolved import resolve
from qbench.trial.run import run_trial
from quantizers import CALIBRATION_METHODS

SMALL = {"model": "digits-mlp", "model_options": {"hidden": 24, "layers": 2}, "epochs": 2}


def record_of(config: TrialConfig, folder: Path) -> TrialRecord:
    result = run_trial(resolve(config), folder)
    return TrialRecord(result.row["trial_id"], "done", result.row, result.predictions, result.labels, folder=folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrialRecord:
    folder = tmp_path_factory.mktemp("run")
    config = TrialConfig.from_mapping({"scheme": "fp32", **SMALL})
    return record_of(config, folder)


def with_outliers(module: QuantModule, splits: Splits, count: int = 40) -> Splits:
    """The data with far outliers in `count` training images, which nothing but one unit of the first layer sees.

    The first pixel of every image becomes 0, and of these images 100, 200, ... (in place of at most 1).
    """
    with torch.no_grad():
        weight = module.model.fc1.weight
        weight[:, 0] = 0.0
        weight[0, 0] = torch.where(module.model.bn1.weight[0] >= 0, 1.0, -1.0)
    images = splits.train.images.clone()
    images[:, 0, 0, 0] = 0.0
    images[:count, 0, 0, 0] = 100.0 * torch.arange(1, count + 1)
    return replace(splits, train=Examples(images, splits.train.labels))


def test_every_method_on_every_set(trained: TrialRecord) -> None:
    module = open_float_module(trained)
    splits = with_outliers(module, get_dataset("digits").load(0))
    results = compare_methods(module, splits, images=500, sets=3, seed=1)  # not all sets have the largest value
    assert [found.method for found in results] == list(CALIBRATION_METHODS)
    by_method = {found.method: found for found in results}
    for found in results:
        assert len(found.validation) == len(found.test) == 3
        assert list(found.thresholds) == ["fc1", "fc2", "out"]
        # The largest of all batches bounds every other choice, on the same sets.
        for name, values in found.thresholds.items():
            pairs = zip(values, by_method["minmax"].thresholds[name], strict=True)
            assert all(value <= largest * (1 + 1e-6) for value, largest in pairs)
        assert found.thresholds["fc1"] == by_method["minmax"].thresholds["fc1"]
    # 99.99 % of 500 images times 24 units leave the largest value out, and the second largest is far below it.
    pairs = zip(by_method["percentile"].thresholds["fc2"], by_method["minmax"].thresholds["fc2"], strict=True)
    assert all(value < 0.995 * largest for value, largest in pairs)
    assert by_method["minmax"].mean_spread > 0


def test_thresholds_are_those_of_a_calibration_of_its_own(trained: TrialRecord) -> None:
    module, splits = open_float_module(trained), get_dataset("digits").load(0)
    (found,) = compare_methods(module, splits, ["mse"], images=60, sets=2, seed=4, bits=5, weight_bits=3)
    alone: QuantModule = open_float_module(trained)
    alone.scheme = method_scheme("mse", 5, 3)
    alone.quantize()
    calibration.calibrate(alone.model, calibration_images(splits, 60, 5).images)
    layers = dict(quant_layers(alone.model))
    for name, values in found.thresholds.items():
        top = 127 if name == "fc1" else 15
        assert values[1] == pytest.approx(top * float(layers[name].input_quantizer.scale))
    assert layers["fc2"].weight_quantizer.format.bits == 3


def test_the_network_itself_stays(trained: TrialRecord) -> None:
    module, splits = open_float_module(trained), get_dataset("digits").load(0)
    before = {key: value.clone() for key, value in module.model.state_dict().items()}
    compare_methods(module, splits, ["kl"], images=40, sets=1)
    assert all(torch.equal(value, before[key]) for key, value in module.model.state_dict().items())


def test_spread_by_hand() -> None:
    found = MethodResult("kl", (1.0,), (1.0,), {"in": (2.0, 2.0), "a": (1.0, 3.0), "b": (4.0, 4.0)})
    assert found.spread == {"in": 0.0, "a": 0.5, "b": 0.0}
    assert found.mean_spread == 0.25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("kll",), "unknown calibration method 'kll'; did you mean 'kl'?"), (("kl", 9), "from 2 to 8")],
)
def test_bad_methods(arguments: tuple[str, int], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        method_scheme(*arguments)
    assert message in str(caught.value)


def test_a_training_of_a_gpu_is_compared_without_one(trained: TrialRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    elsewhere = replace(trained, row=trained.row | {"device": "cuda"})
    here, there = (compare_trial(record, ["minmax"]) for record in (trained, elsewhere))
    assert elsewhere.config.device == "cuda"
    assert there == here


def test_a_quantized_training_has_no_float_network(tmp_path: Path) -> None:
    config = TrialConfig.from_mapping({"scheme": "int8-qat", **SMALL})
    with pytest.raises(ConfigError, match="int8-qat quantizes in training"):
        open_float_module(record_of(config, tmp_path))


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli") / "run"
    options = [
        "--model",
        "digits-mlp",
        "--epochs",
        "2",
        "-o",
        "model_options.hidden=16",
        "-o",
        "model_options.layers=1",
    ]
    command = ["train", "--scheme", "int8-mse", "--output", str(folder), *options]
    result = CliRunner().invoke(app, command, env={"WANDB_MODE": "disabled"})
    assert result.exit_code == 0, result.output
    return folder


def test_the_command_shows_the_layers(run_folder: Path) -> None:
    result = CliRunner().invoke(app, ["calibrate", str(run_folder), "--rule", "percentile", "--images", "100"])
    assert result.exit_code == 0, result.output
    assert "percentile, 8-bit activations, 8-bit weights, 100 images: accuracy on 360 " in result.output
    assert [line.split()[0] for line in result.output.splitlines() if " weights " in line] == ["fc1", "out"]


def test_the_command_compares(run_folder: Path) -> None:
    arguments = ["calibrate", str(run_folder), "--compare", "--sets", "2", "--images", "50", "--bits", "6"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "6-bit activations, 8-bit weights, 50 images: means over 2 calibration sets" in result.output
    assert all(f"\n{method} " in result.output for method in CALIBRATION_METHODS)
    found = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert [each["rule"] for each in found] == list(CALIBRATION_METHODS)
    assert all(len(each["test"]) == 2 and set(each["thresholds"]) == {"fc1", "out"} for each in found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rule", "kll"], "--method: unknown calibration method 'kll'; did you mean 'kl'?"),
        (["--images", "5000"], "calibration_images: 5000 images of 1077 training images"),
    ],
)
def test_the_command_refuses(run_folder: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["calibrate", str(run_folder), *arguments])
    assert result.exit_code == 2
    assert message in result.output
