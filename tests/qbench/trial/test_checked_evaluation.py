"""Cheats that only the evaluation which is reported brings to light."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from qbench import QuantModule
from qbench.errors import TrainingError
from qbench.trial.check import check
from qbench.trial.checked_evaluation import checking_evaluation
from qbench.trial.config import TrialConfig
from qbench.trial.left_float import left_float
from qbench.trial.resolved import ResolvedTrial, resolve
from qbench.trial.run import run_trial


class Float(QuantModule):
    """Takes the weights' quantizers away once the checks are passed."""

    def start_epoch(self, *arguments: Any, **options: Any) -> None:
        for layer in self.model.modules():
            if getattr(layer, "weight_quantizer", None) is not None:
                layer.weight_quantizer = None  # type: ignore[assignment]
        super().start_epoch(*arguments, **options)


class Bypasses(QuantModule):
    """Leaves the quantizers, and lets layers multiply by their latent weights."""

    def start_epoch(self, *arguments: Any, **options: Any) -> None:
        for layer in self.model.modules():
            if getattr(layer, "weight_quantizer", None) is not None:
                layer.forward = lambda x, layer=layer: F.linear(x, layer.weight, layer.bias)
        super().start_epoch(*arguments, **options)


def trial(scheme: str = "binaryconnect", **config: Any) -> ResolvedTrial:
    common: dict[str, Any] = {"model": "digits-mlp", "model_options": {"hidden": 16}, "epochs": 1, "batch_size": 512}
    return resolve(TrialConfig(scheme=scheme, **common | config))


def of_inputs(cheat: str) -> ResolvedTrial:
    options = {"weights": None, "network_input": None, "activations": f"storing_cheats.{cheat}"}
    return trial(scheme_options=options)


@pytest.mark.parametrize(
    ("cheat", "words"),
    [
        ("IdentityOfMany", r"values: forward gives .*forward returns x itself"),
        ("ScaleOfTheBatch", r"batch: \d+ values of the first of 360 examples are others than alone"),
    ],
)
def test_large_batches_are_checked_as_they_are_evaluated(cheat: str, words: str, tmp_path: Path) -> None:
    found = of_inputs(cheat)
    check(found)
    with pytest.raises(
        TrainingError, match=rf"fc2: {cheat} \(activations\) breaks .* evaluation of the test images: {words}"
    ):
        run_trial(found, tmp_path)


def test_a_layer_that_asks_no_quantizer(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"fc1: Sign \(weights\) was not asked when the layer ran"):
        run_trial(trial("binarynet", module=f"{__name__}.Bypasses"), tmp_path)


def test_layers_that_a_module_leaves_float_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        result = run_trial(trial("binarynet", module=f"{__name__}.Float"), tmp_path)
    assert result.row["kernel/agreement"] is None
    assert "the tested network has none for fc1 (weights), fc2 (weights), fc3 (weights) and 1 more" in caplog.text


@pytest.mark.parametrize("scheme", ["fp32", "binarynet", "binaryconnect", "int8-lsq"])
def test_no_scheme_of_ours_leaves_more_float_than_it_says(scheme: str) -> None:
    found = trial(scheme)
    assert left_float(found.scheme, found.build().model) == []


def test_the_network_is_as_it_was() -> None:
    network = trial("binarynet").build().eval().model
    before = {name: set(vars(module)) for name, module in network.named_modules()}
    x = torch.randn(9, 1, 8, 8)
    with torch.no_grad():
        plain = network(x)
        with checking_evaluation(network):
            checked = network(x)
    assert torch.equal(plain, checked)
    assert {name: set(vars(module)) for name, module in network.named_modules()} == before
    assert not any(module._forward_hooks for module in network.modules())
