"""Whole trials of data that DataLoaders read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import qbench.training.short_loop
from qbench.data.datasets import DATASETS, Dataset, get_dataset
from qbench.data.folder import DataError
from qbench.nn.models.catalogue import MODELS
from qbench.nn.models.model import Model
from qbench.training.module import QuantModule
from qbench.training.result import TrainingResult
from qbench.trial.config import TrialConfig
from qbench.trial.details import read_details
from qbench.trial.run import check, resolve, run_trial

DIGITS = get_dataset("digits").load(0)
WORKERS = {"loaded-digits": 0, "loaded-digits-by-workers": 2}


class Digits(pl.LightningDataModule):
    batch_size = 64

    def __init__(self, workers: int) -> None:
        super().__init__()
        self.workers = workers

    def loader(self, part: str, **options: Any) -> DataLoader[Any]:
        examples = getattr(DIGITS, part)
        return DataLoader(TensorDataset(examples.images, examples.labels), num_workers=self.workers, **options)

    def train_dataloader(self) -> Any:
        return self.loader("train", batch_size=self.batch_size, shuffle=True, drop_last=True)

    def val_dataloader(self) -> Any:
        return self.loader("validation", batch_size=100)

    def test_dataloader(self) -> Any:
        return self.loader("test", batch_size=70)


class Watched(QuantModule):
    """Is trained by a Trainer, for it has a hook."""

    def on_train_start(self) -> None:
        self.started = True


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    for name, workers in WORKERS.items():
        DATASETS.add(name, Dataset(lambda seed, n=workers: Digits(n), (1, 8, 8), 10, "", digest="digits 1"))
    yield
    for name in WORKERS:
        del DATASETS._items[name]


def config(**values: Any) -> TrialConfig:
    options = {"hidden": 16, "layers": 1}
    chosen = {"scheme": "binarynet", "model": "digits-mlp", "model_options": options, "epochs": 2, **values}
    return TrialConfig(data=chosen.pop("data", "loaded-digits"), **chosen)


def run(folder: Path, **values: Any) -> Any:
    trial = resolve(config(**values))
    check(trial)
    result = run_trial(trial, folder)
    return trial, result


@pytest.mark.parametrize("scheme", ["binarynet", "int8-minmax"])
def test_a_trial_measures_what_it_measures_in_memory(scheme: str, tmp_path: Path) -> None:
    """Every metric, from the trained weights: a trial of the arrays takes over the training of the loaders'."""
    trial, loaded = run(tmp_path, scheme=scheme)
    state = TrainingResult.stored(tmp_path / "trainings" / trial.training_key)
    assert state is not None
    in_memory = resolve(config(scheme=scheme, data="digits"))
    store = tmp_path / "trainings" / in_memory.training_key
    store.mkdir()
    state.store(store)
    expected = run_trial(in_memory, tmp_path)
    skipped = ("trial_id", "training_key", "shared", "data", "time/")
    kept = [key for key in loaded.row if not key.startswith(skipped)]
    assert {key: loaded.row[key] for key in kept} == {key: expected.row[key] for key in kept}
    assert loaded.row["kernel/agreement"] == 1
    assert loaded.predictions == expected.predictions
    assert loaded.labels == DIGITS.test.labels.tolist()
    ours, theirs = (read_details(tmp_path, each.trial_id) for each in (trial, in_memory))
    assert ours is not None
    assert theirs is not None
    assert (ours.calibration, ours.quantization) == (theirs.calibration, theirs.quantization)


def test_both_loops_train_the_same_and_it_learns(tmp_path: Path) -> None:
    found = []
    for module in (None, f"{__name__}.Watched"):
        trial = resolve(config(epochs=3, scheme="fp32"))
        object.__setattr__(trial, "module", QuantModule if module is None else Watched)
        folder = tmp_path / str(len(found))
        found.append(run_trial(trial, folder))
    assert [each.row["training/loop"] for each in found] == ["short", "lightning"]
    assert found[0].predictions == found[1].predictions
    assert found[0].row["test/accuracy"] > 0.6


@pytest.mark.slow  # starts processes, twice an epoch
def test_workers_change_nothing(tmp_path: Path) -> None:
    found = [run(tmp_path / name, data=name)[1] for name in WORKERS]
    assert found[0].predictions == found[1].predictions


class KilledError(Exception):
    pass


def test_a_killed_training_continues_with_the_batches_it_would_have_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qbench.training.short_loop, "is_due", lambda saved: True)
    trial = resolve(config(epochs=4))
    whole = run_trial(trial, tmp_path / "whole")

    def kill(epoch: int, epochs: int, metrics: Any) -> None:
        if epoch == 3:
            raise KilledError

    with pytest.raises(KilledError):
        run_trial(trial, tmp_path / "killed", on_epoch=kill)
    again = run_trial(trial, tmp_path / "killed")
    assert again.predictions == whole.predictions
    assert again.row["training/loss"] == whole.row["training/loss"]


class Map(nn.Module):
    """Gives a score for each class and pixel, as a segmentation does."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 10, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def test_labels_of_a_segmentation_are_refused_before_training() -> None:
    def load(split_seed: int) -> Any:
        from dataclasses import replace

        from qbench.data.splits import Examples

        return replace(DIGITS, train=Examples(DIGITS.train.images, DIGITS.train.images[:, 0]))

    DATASETS.add("mine", Dataset(load, (1, 8, 8), 10, ""))
    try:
        with pytest.raises(DataError, match=r"data 'mine': train: labels are float32 \[1077, 8, 8\]; qbench compares"):
            check(resolve(config(data="mine")))
    finally:
        del DATASETS._items["mine"]


def test_scores_of_a_segmentation_are_refused_by_name(tmp_path: Path) -> None:
    MODELS.add("map", Model(Map, (1, 8, 8), 10, ""))
    try:
        trial = resolve(config(model="map", model_options={}, scheme="fp32", data="digits"))
        with pytest.raises(Exception, match=r"the network gives float32 \[64, 10, 8, 8\]; expected scores \[batch, cl"):
            run_trial(trial, tmp_path)
    finally:
        del MODELS._items["map"]
