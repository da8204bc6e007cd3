"""The share of binary weights that change their sign in an epoch, in both loops, and after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from qbench.nn.quant_layer import quant_layers
from qbench.schemes.apply import apply_scheme
from qbench.schemes.catalogue import get_scheme
from qbench.training import checkpoint
from qbench.training.fit import drop_checkpoints, fit
from qbench.training.module import QuantModule
from qbench.training.result import TrainingResult
from qbench.training.sign_flips import SignFlips
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import ResolvedTrial, resolve

EPOCHS = 5


class Hooked(QuantModule):
    """A module that a Trainer trains."""

    def on_train_start(self) -> None: ...


def trial(kind: type[QuantModule] = QuantModule, scheme: str = "binarynet") -> ResolvedTrial:
    config = {"scheme": scheme, "model": "digits-mlp", "model_options": {"hidden": 12, "layers": 2}, "epochs": EPOCHS}
    return replace(resolve(TrialConfig.from_mapping(config)), module=kind)


def flips(result: TrainingResult) -> list[dict[str, float]]:
    return [{key: value for key, value in epoch.items() if key.startswith("flips/")} for epoch in result.history]


def weights(module: QuantModule) -> dict[str, np.ndarray]:
    return {name: layer.weight.detach().clone().numpy() for name, layer in quant_layers(module.model)}


@pytest.mark.parametrize("kind", [QuantModule, Hooked])
def test_flips_are_those_between_the_ends_of_epochs(kind: type[QuantModule], tmp_path: Path) -> None:
    parts = trial(kind)
    module = parts.build()
    seen = [weights(module)]
    result = fit(
        module, parts.dataset.load(0), tmp_path, parts.settings, on_epoch=lambda *_: seen.append(weights(module))
    )
    found = flips(result)
    assert len(found) == EPOCHS
    for before, after, epoch in zip(seen, seen[1:], found, strict=False):
        assert epoch.keys() == {"flips/fc1", "flips/fc2", "flips/out"}
        for name in before:
            signs = [np.where(w >= 0, 1, -1) for w in (before[name], after[name])]
            assert epoch[f"flips/{name}"] == pytest.approx(float(np.mean(signs[0] != signs[1])), rel=1e-6)
    assert found[0]["flips/fc1"] > 0


class KilledError(Exception):
    pass


@pytest.mark.parametrize("kind", [QuantModule, Hooked])
def test_a_killed_training_counts_the_same_flips(
    kind: type[QuantModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)

    def kill(done: int, *_: object) -> None:
        if done == 3:
            raise KilledError

    parts = trial(kind)
    splits = parts.dataset.load(0)
    whole = fit(parts.build(), splits, tmp_path, parts.settings)
    drop_checkpoints(tmp_path)
    with pytest.raises(KilledError):
        fit(parts.build(), splits, tmp_path, parts.settings, on_epoch=kill)
    epochs: list[int] = []
    resumed = fit(parts.build(), splits, tmp_path, parts.settings, on_epoch=lambda done, *_: epochs.append(done))
    assert epochs[0] == 3  # epoch 3 was over, and its checkpoint not written
    assert flips(resumed) == flips(whole)
    assert any(share > 0 for share in flips(whole)[2].values())


def network(*quantized: str) -> Any:
    made = nn.Sequential(nn.Linear(4, 2, bias=False), nn.Linear(2, 3, bias=False))
    return apply_scheme(made, get_scheme("binaryconnect", layers=dict.fromkeys(quantized, "float")))


def test_zero_counts_as_plus_one_and_float_layers_not_at_all() -> None:
    made = network("1")
    (_, layer), _ = quant_layers(made)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0, -0.0, 1.0, -1.0], [0.5, 0.5, -0.5, -0.5]]))
        counted = SignFlips(made)
        layer.weight.copy_(torch.tensor([[1.0, 2.0, -1.0, -2.0], [-0.0, 0.5, 0.5, -1e-30]]))
    assert counted.since_last(made) == {"flips/0": 2 / 8}
    assert counted.since_last(made) == {"flips/0": 0.0}


def test_without_binary_weights_nothing_is_counted(tmp_path: Path) -> None:
    parts = trial(scheme="fp32")
    result = fit(parts.build(), parts.dataset.load(0), tmp_path, parts.settings)
    assert flips(result) == [{}] * EPOCHS
    assert [epoch.keys() for epoch in result.history] == [{"train/loss", "val/accuracy", "val/loss", "epoch"}] * EPOCHS


def test_history_is_stored_with_the_training_and_missing_in_earlier_ones(tmp_path: Path) -> None:
    parts = trial()
    result = fit(parts.build(), parts.dataset.load(0), tmp_path, parts.settings)
    result.store(tmp_path)
    stored = TrainingResult.stored(tmp_path)
    assert stored is not None
    assert stored.history == result.history
    (tmp_path / "training.json").write_text('{"epoch": 1, "loss": 0.5, "seconds": 2.0}')
    earlier = TrainingResult.stored(tmp_path)
    assert earlier is not None
    assert earlier.history == []
