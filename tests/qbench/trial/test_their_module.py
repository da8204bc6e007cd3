"""Trials of someone else's LightningModule: its recipe, its metrics, the network that a trial measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging
from torch import Tensor, nn

from qbench.errors import ConfigError, TrainingError
from qbench.nn.quant_layer import quant_layers
from qbench.training import checkpoint
from qbench.training.module import QuantModule
from qbench.trial.config import TrialConfig
from qbench.trial.finished.module import open_module
from qbench.trial.record import TrialRecord
from qbench.trial.resolved import resolve
from qbench.trial.run import run_trial


def perceptron(width: int = 12) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 10))


class ValAcc(pl.LightningModule):
    """The trial's network handed in; logs train_loss by step and by epoch, val_loss and val_acc."""

    def __init__(self, model: nn.Module, lr: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["model"])
        self.model = model

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = F.cross_entropy(self.model(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        scores = self.model(batch[0])
        self.log("val_loss", F.cross_entropy(scores, batch[1]))
        self.log("val_acc", (scores.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=self.hparams.lr, momentum=0.9)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)}


class TopOne(pl.LightningModule):
    """Builds its own network; optimizes by hand with two optimizers; logs valid/acc_top1 at the end of validation."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.BatchNorm1d(width), nn.ReLU())
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x))

    def training_step(self, batch: Any, batch_idx: int) -> None:
        first, second = self.optimizers()
        loss = F.cross_entropy(self(batch[0]), batch[1])
        first.zero_grad()
        second.zero_grad()
        self.manual_backward(loss)
        first.step()
        second.step()

    def on_validation_epoch_start(self) -> None:
        self.right: list[Tensor] = []

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.right.append(self(batch[0]).argmax(1) == batch[1])

    def on_validation_epoch_end(self) -> None:
        self.log("valid/acc_top1", torch.cat(self.right).float().mean())

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.encoder.parameters(), lr=0.5), torch.optim.Adam(self.head.parameters(), lr=1e-2)


class LossOnly(pl.LightningModule):
    """Its argument is called net; logs val_loss alone; returns its loss in a dictionary."""

    def __init__(self, net: nn.Module, criterion: str = "CrossEntropyLoss") -> None:
        super().__init__()
        self.net = net
        self.criterion = getattr(nn, criterion)()

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        return {"loss": self.criterion(self.net(batch[0]), batch[1])}

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.criterion(self.net(batch[0]), batch[1]))

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.net.parameters(), lr=1e-2)


SHAPES: dict[str, dict[str, Any]] = {
    "ValAcc": {"select": "val_acc", "module_options": {"lr": 0.05}},
    "TopOne": {"select": "valid/acc_top1", "model": "module", "network": "", "module_options": {"width": 20}},
    "LossOnly": {"select": "val_loss", "network": "net"},
}


def config(kind: str, scheme: str = "binarynet", **fields: Any) -> TrialConfig:
    settings: dict[str, Any] = {"model": "digits-mlp", "epochs": 3, "module": f"{__name__}.{kind}", "scheme": scheme}
    settings |= SHAPES.get(kind, {}) | fields
    if settings["model"] == "digits-mlp":
        settings.setdefault("model_options", {"hidden": 12, "layers": 1})
    return TrialConfig.from_mapping(settings)


@pytest.mark.parametrize("scheme", ["fp32", "binarynet", "int8-minmax"])
@pytest.mark.parametrize("kind", SHAPES)
def test_a_trial_of_each_shape(kind: str, scheme: str, tmp_path: Path) -> None:
    trial = resolve(config(kind, scheme))
    result = run_trial(trial, tmp_path)
    row = result.row
    expected = {
        "ValAcc": ("SGD", 0.05, 0.05 * 0.5**3, "ValAcc.training_step", None),
        "TopOne": ("SGD + Adam", None, None, "TopOne.training_step", "learning rate at the first step: the groups"),
        "LossOnly": ("AdamW", 1e-2, 1e-2, "LossOnly.training_step", None),
    }[kind]
    keys = ("optimizer", "learning_rate_start", "learning_rate_end", "loss_function", "unknown")
    optimizer, start, end, loss, unknown = (row[f"training/{key}"] for key in keys)
    assert (optimizer, loss) == (expected[0], expected[3])
    assert start == (None if expected[1] is None else pytest.approx(expected[1]))
    assert end == (None if expected[2] is None else pytest.approx(expected[2]))
    if expected[4] is None:
        assert unknown is None
        assert row["training/loss"] > 0
    else:
        assert unknown.startswith(expected[4])
        assert unknown.endswith("loss: the training steps told none")
        assert row["training/loss"] is None
    assert row["training/loop"] == "lightning"
    assert row["select"] == SHAPES[kind]["select"]
    assert row["test/accuracy"] == sum(a == b for a, b in zip(result.predictions, result.labels, strict=True)) / len(
        result.labels
    )
    assert row["val/accuracy"] > 0.2  # of ten classes
    if scheme == "binarynet":
        assert row["kernel/agreement"] == 1.0
    record = TrialRecord(row["trial_id"], "done", row, result.predictions, result.labels, folder=tmp_path)
    images = trial.dataset.load(0).test.images
    assert open_module(record).model(images).argmax(1).tolist() == result.predictions


def history(row: dict[str, Any], folder: Path) -> list[dict[str, float]]:
    from qbench.training.result import TrainingResult

    found = TrainingResult.stored(folder / "trainings" / row["training_key"])
    assert found is not None
    return found.history


def test_the_best_epoch_is_that_of_the_metric_and_its_mode(tmp_path: Path) -> None:
    for select, mode, best in (("val_loss", None, min), ("val_acc", None, max), ("val_loss", "max", max)):
        fields = {"select": select, "select_mode": mode, "epochs": 5, "module_options": {"lr": 0.4}}
        row = run_trial(resolve(config("ValAcc", **fields)), tmp_path).row
        values = [epoch[select] for epoch in history(row, tmp_path)]
        assert row["training/best_epoch"] == 1 + values.index(best(values))
        accuracies = [epoch["val_acc"] for epoch in history(row, tmp_path)]
        # Lightning's mean over batches weighs them by their sizes, so that it is the share of all images.
        assert row["val/accuracy"] == pytest.approx(accuracies[row["training/best_epoch"] - 1], abs=1e-6)


def test_a_quantmodule_may_choose_by_another_metric_too(tmp_path: Path) -> None:
    for module in (None, f"{__name__}.Hooked"):
        fields = {"scheme": "binarynet", "epochs": 4, "model": "digits-mlp", "module": module}
        options = {"model_options": {"hidden": 8, "layers": 1}, "select": "train/loss"}
        row = run_trial(resolve(TrialConfig.from_mapping(fields | options)), tmp_path).row
        losses = [epoch["train/loss"] for epoch in history(row, tmp_path)]
        assert row["training/best_epoch"] == 1 + losses.index(min(losses))
        assert row["training/optimizer"] == "Adam"
        assert row["training/loss_function"] == "squared_hinge"


class Hooked(QuantModule):
    def on_train_start(self) -> None: ...


def test_the_metric_and_the_options_are_part_of_the_identity() -> None:
    ids = {
        (trial.trial_id, trial.training_key)
        for fields in (
            {},
            {"select": "val_loss"},
            {"select_mode": "min"},
            {"module_options": {"lr": 0.06}},
        )
        for trial in [resolve(config("ValAcc", **fields))]
    }
    assert len({first for first, _ in ids}) == len({second for _, second in ids}) == 4


def test_a_metric_that_it_does_not_log_is_named_after_the_first_epoch(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"select: .* 'val/accuracy', which the epoch did not log; it logged .*val_acc"
    ):
        run_trial(resolve(config("ValAcc", select="val/accuracy")), tmp_path)


class Averaged(ValAcc):
    def configure_callbacks(self) -> Any:
        return [EMAWeightAveraging(decay=0.9)]


@pytest.mark.parametrize("scheme", ["fp32", "binarynet"])
def test_the_average_is_kept_that_was_validated(scheme: str, tmp_path: Path) -> None:
    row = run_trial(resolve(config("Averaged", scheme, select="val_acc", epochs=3)), tmp_path).row
    told = history(row, tmp_path)[row["training/best_epoch"] - 1]["val_acc"]
    assert row["val/accuracy"] == pytest.approx(told, abs=1e-6)


class Stopping(ValAcc):
    def configure_callbacks(self) -> Any:
        return [EarlyStopping("val_loss", mode="max", patience=1)]


def test_epochs_are_those_that_ran(tmp_path: Path) -> None:
    row = run_trial(resolve(config("Stopping", "fp32", select="val_acc", epochs=6)), tmp_path).row
    assert row["training/epochs"] == len(history(row, tmp_path)) == 2
    assert row["epochs"] == 6


class KilledError(Exception):
    pass


def test_a_killed_trial_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    trial = resolve(config("ValAcc"))
    whole = run_trial(trial, tmp_path / "whole").row

    def kill(done: int, *_: object) -> None:
        if done == 3:
            raise KilledError

    with pytest.raises(KilledError):
        run_trial(trial, tmp_path / "killed", on_epoch=kill)
    seen: list[int] = []
    row = run_trial(trial, tmp_path / "killed", on_epoch=lambda done, *_: seen.append(done)).row
    assert seen == [3]
    same = [key for key in whole if key.startswith(("training/", "test/", "val/"))]
    assert {key: row[key] for key in same} == {key: whole[key] for key in same}


class Normalizing(ValAcc):
    def validation_step(self, batch: Any, batch_idx: int) -> None:
        super().validation_step(((batch[0] - 0.5) / 0.25, batch[1]), batch_idx)


class Elsewhere(ValAcc):
    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.other = perceptron()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_acc", (self.other(batch[0]).argmax(1) == batch[1]).float().mean())


class TwoHeads(ValAcc):
    def __init__(self) -> None:
        super().__init__(nn.Sequential(nn.Flatten(), nn.Linear(64, 11)))


class Diverging(ValAcc):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return super().training_step(batch, batch_idx) * float("inf")


class Renamed(ValAcc):
    def __init__(self, model: nn.Module) -> None:
        super().__init__(nn.Sequential(model))


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("Normalizing", {}, r"network: Normalizing.validation_step gives 'model' other values than the data's images"),
        ("Elsewhere", {}, r"network: Elsewhere.validation_step does not call 'model'"),
        ("TwoHeads", {"model": "module"}, r"network: 'model' of TwoHeads gives \[\d+, 11\]; .* scores \[batch, 10\]"),
    ],
)
def test_what_a_trial_would_not_measure_is_refused(
    kind: str, fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        run_trial(resolve(config(kind, "fp32", select="val_acc", **fields)), tmp_path)


def test_divergence_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"became infinite or NaN in epoch 1"):
        run_trial(resolve(config("Diverging", select="val_acc")), tmp_path)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("ValAcc", {"learning_rate": 0.1}, "learning_rate: ValAcc trains by its own recipe"),
        ("ValAcc", {"network": "net"}, "network: ValAcc takes no argument 'net' for the trial's model"),
        ("ValAcc", {"module_options": {"rate": 1}}, "module_options: ValAcc cannot be built: TypeError"),
        ("ValAcc", {"select": "score"}, "select_mode: 'score' does not say"),
        ("TopOne", {"network": "net"}, "network: TopOne has no network called 'net'"),
        ("TopOne", {"model_options": {"hidden": 3}}, "model_options.hidden: unknown option"),
        ("Renamed", {"select": "val_acc"}, "network: Renamed does not keep its argument 'model'"),
        ("perceptron", {}, "module: .* is no subclass of QuantModule, nor any other LightningModule"),
        ("Hooked", {"model": "module"}, "model: Hooked builds no network"),
        ("Hooked", {"network": "net"}, "network: Hooked is a QuantModule"),
        ("Hooked", {"module_options": {"seed": 3}}, "module_options.seed: a trial gives this argument itself"),
        ("Hooked", {"module_options": {"alpha": 3}}, "module_options: Hooked cannot be built: .*alpha"),
    ],
)
def test_bad_settings(kind: str, fields: dict[str, Any], message: str) -> None:
    def build() -> None:
        trial = resolve(config(kind, **fields))
        trial.model.make(trial.config.model_options)
        trial.build()

    with pytest.raises(ConfigError, match=message):
        build()


class Strong(QuantModule):
    def __init__(self, *args: Any, strength: float = 0.0, **options: Any) -> None:
        super().__init__(*args, **options)
        self.strength = strength

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        return super().loss(images, labels) * self.strength

    def make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameter_groups(), lr=1.0, momentum=0.5)


def test_a_quantmodule_takes_options_and_says_what_it_used(tmp_path: Path) -> None:
    trial = resolve(config("Strong", module_options={"strength": 2.0}, learning_rate=0.25, learning_rate_end=0.125))
    module: Any = trial.build()
    assert module.strength == 2.0
    row = run_trial(trial, tmp_path).row
    assert row["training/optimizer"] == "SGD"
    assert row["training/loss_function"] == "Strong.loss"
    assert row["training/learning_rate_start"] == 0.25
    assert row["training/learning_rate_end"] == pytest.approx(0.125)
    assert row["training/unknown"] is None
    assert quant_layers(module.model)
