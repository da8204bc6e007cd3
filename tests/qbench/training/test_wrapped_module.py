"""Someone else's LightningModule, trained under its own recipe with quantized layers."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import MulticlassAccuracy

from qbench.errors import ConfigError
from qbench.nn.quant_layer import quant_layers
from qbench.schemes.catalogue import get_scheme
from qbench.training.module import QuantModule
from qbench.training.wrapped_module import WrappedModule

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def perceptron() -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16, bias=False), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10, bias=False)
    )


class LitMnist(pl.LightningModule):
    """Logs train_loss, val_loss and val_acc; the network is handed in; weight decay and a step schedule."""

    def __init__(self, model: nn.Module | None = None, lr: float = 0.5) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["model"])
        self.model = perceptron() if model is None else model
        self.accuracy = MulticlassAccuracy(10, average="micro")

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.model(x), dim=1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        loss = F.nll_loss(self(x), y)
        self.log("train_loss", loss, on_step=True, on_epoch=True, prog_bar=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        scores = self(x)
        self.accuracy(scores, y)
        self.log("val_loss", F.nll_loss(scores, y), prog_bar=True)
        self.log("val_acc", self.accuracy, prog_bar=True)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=self.hparams.lr, momentum=0.9, weight_decay=1e-4)
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)}


class LitTopK(pl.LightningModule):
    """Builds its own network, logs valid/acc_top1 and valid/acc_top5, and optimizes by hand, with two optimizers."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.backbone = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.BatchNorm1d(width), nn.ReLU())
        self.head = nn.Linear(width, 10)
        self.seen: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))

    def training_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        optimizers = self.optimizers()
        loss = F.cross_entropy(self(x), y, label_smoothing=0.1)
        for optimizer in optimizers:
            optimizer.zero_grad()
        self.manual_backward(loss)
        for optimizer in optimizers:
            optimizer.step()
        self.seen.append(largest(self))

    def on_validation_epoch_start(self) -> None:
        self.right: list[Tensor] = []

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        self.right.append(self(x).topk(5).indices == y[:, None])

    def on_validation_epoch_end(self) -> None:
        right = torch.cat(self.right).float()
        self.log_dict({"valid/acc_top1": right[:, 0].mean(), "valid/acc_top5": right.sum(1).mean()})

    def configure_optimizers(self) -> Any:
        return [
            torch.optim.SGD(self.backbone.parameters(), lr=50.0),
            torch.optim.Adam(self.head.parameters(), lr=1e-2),
        ]


class LitLossOnly(pl.LightningModule):
    """Logs val_loss alone; its loss is an object; a one-cycle schedule by step, and gradients clipped by hook."""

    def __init__(self, net: nn.Module, max_lr: float = 0.1) -> None:
        super().__init__()
        self.net = net
        self.max_lr = max_lr
        self.criterion = nn.CrossEntropyLoss()

    def _shared(self, batch: Any) -> Tensor:
        return self.criterion(self.net(batch[0]), batch[1])

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        return {"loss": self._shared(batch)}

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self._shared(batch), sync_dist=True)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=self.max_lr)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.max_lr, total_steps=steps)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def largest(module: nn.Module) -> float:
    return max(float(layer.weight.detach().abs().max()) for _, layer in quant_layers(module))


def loader() -> DataLoader:
    images = torch.randn(96, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(images, torch.arange(96) % 10), batch_size=16)


def trainer(folder: Path, **options: Any) -> pl.Trainer:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return pl.Trainer(
        **{"accelerator": "cpu", "devices": 1, "max_epochs": 2, "default_root_dir": folder} | quiet | options
    )


SHAPES = {
    "val_acc": (lambda: LitMnist(lr=20.0), "model", {"train_loss", "val_loss", "val_acc"}),
    "valid/acc_top1": (LitTopK, "", {"valid/acc_top1", "valid/acc_top5"}),
    "val_loss": (lambda: LitLossOnly(perceptron(), max_lr=3.0), "net", {"val_loss"}),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_it_trains_in_a_plain_trainer_by_its_own_recipe(shape: str, tmp_path: Path) -> None:
    make, network, logged = SHAPES[shape]
    theirs = make()
    before = {name: value.detach().clone() for name, value in theirs.named_parameters()}
    module = QuantModule.wrap(theirs, "binarynet", input_shape=(1, 8, 8), network=network)
    assert module is theirs
    assert all(torch.equal(before[name], value) for name, value in module.named_parameters())  # no weight is redrawn
    fit = trainer(tmp_path)
    fit.fit(module, loader(), loader())
    assert logged <= set(fit.callback_metrics)
    assert {type(each).__name__ for each in fit.optimizers} <= {"SGD", "Adam", "AdamW"}
    assert largest(module) == 1.0  # the rates lead out of [-1, 1] at once
    assert module.state_dict().keys() >= before.keys()
    layers = quant_layers(module)
    assert len(layers) == 2
    scores = module.qbench.model.eval()(torch.randn(4, 1, 8, 8))
    assert scores.shape == (4, 10)


def test_each_step_by_hand_is_clipped(tmp_path: Path) -> None:
    module = QuantModule.wrap(LitTopK(), "binarynet", input_shape=(1, 8, 8), network="")
    trainer(tmp_path, max_epochs=1).fit(module, loader(), loader())
    assert module.seen == [1.0] * 6


def test_one_step_by_hand(tmp_path: Path) -> None:
    """SGD's step of their loss on the signs, then the clip; written out in float64."""
    theirs = LitMnist(nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False)), lr=5.0)
    before = theirs.model[1].weight.detach().clone().double()
    module = QuantModule.wrap(theirs, "binaryconnect", input_shape=(1, 8, 8))
    images, labels = next(iter(loader()))
    leaf = torch.where(before >= 0, 1.0, -1.0).double().requires_grad_()
    F.nll_loss(F.log_softmax(images.flatten(1).double() @ leaf.T, dim=1), labels).backward()
    gradient = leaf.grad
    assert gradient is not None
    expected = (before - 5.0 * (gradient + 1e-4 * before)).clamp(-1, 1)
    assert bool((expected.abs() == 1).any())
    trainer(tmp_path, limit_train_batches=1, max_epochs=1).fit(module, loader())
    torch.testing.assert_close(module.model[1].weight.detach().double(), expected, atol=1e-5, rtol=1e-5)


def test_a_post_training_scheme_trains_floats_and_quantizes_afterwards(tmp_path: Path) -> None:
    plain, wrapped = LitMnist(lr=0.1), LitMnist(lr=0.1)
    wrapped.load_state_dict(plain.state_dict())
    module = QuantModule.wrap(wrapped, "int8-minmax", input_shape=(1, 8, 8))
    trainer(tmp_path).fit(plain, loader())
    trainer(tmp_path).fit(module, loader())
    weight = module.model[1].weight
    assert torch.equal(plain.model[1].weight, weight)
    module.qbench.quantize()
    assert all(layer.weight_quantizer is not None for _, layer in quant_layers(module.model))
    assert not any(isinstance(each, nn.BatchNorm1d) for each in module.model)  # folded


def test_quantizers_are_relaxed_for_a_share_of_their_epochs(tmp_path: Path) -> None:
    seen: list[bool] = []

    class Watching(LitMnist):
        def on_train_epoch_start(self) -> None:
            seen.append(self.model[1].weight_quantizer.relaxed)

    module = QuantModule.wrap(Watching(), get_scheme("bitwise", relaxed_share=0.5), input_shape=(1, 8, 8))
    trainer(tmp_path, max_epochs=4).fit(module, loader())
    assert seen == [True, True, False, False]
    seen.clear()
    batches = len(loader())
    trainer(tmp_path, max_epochs=-1, max_steps=2 * batches).fit(module, loader())
    assert seen == [True, False]
    with pytest.raises(ConfigError, match="give it max_epochs or max_steps"):
        trainer(tmp_path, max_epochs=-1, max_time={"hours": 1}).fit(module, loader())


def test_a_copy_and_a_pickle_are_modules_of_their_own(tmp_path: Path) -> None:
    module = QuantModule.wrap(LitMnist(lr=20.0), "binarynet", input_shape=(1, 8, 8))
    before = copy.deepcopy(module.state_dict())
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):  # noqa: S301  its own
        assert twin.qbench.theirs is twin
        trainer(tmp_path, max_epochs=1).fit(twin, loader())
        assert largest(twin) == 1.0
    after = module.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before if "weight" in key)


def test_an_average_of_its_weights(tmp_path: Path) -> None:
    module = QuantModule.wrap(LitMnist(lr=0.5), "binarynet", input_shape=(1, 8, 8))
    trainer(tmp_path, callbacks=[EMAWeightAveraging(decay=0.5)]).fit(module, loader(), loader())
    assert 0 < largest(module) <= 1


class Aliased(LitMnist):
    def __init__(self) -> None:
        super().__init__()
        self.classifier = self.model[4]


class Untrained(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.model = perceptron()


@pytest.mark.parametrize(
    ("theirs", "network", "message"),
    [
        (LitMnist, "net", r"network: LitMnist has no network called 'net'.*model.*or '' where"),
        (LitMnist, "model.0.weight", "network: LitMnist has no network called"),
        (Aliased, "model", "network: classifier of Aliased is a part of 'model' under a second name"),
        (Untrained, "model", "module: Untrained has no configure_optimizers"),
    ],
)
def test_what_is_refused(theirs: Any, network: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        QuantModule.wrap(theirs(), "binarynet", input_shape=(1, 8, 8), network=network)


def test_a_module_is_wrapped_once_and_the_wrapper_is_not_trained() -> None:
    module = QuantModule.wrap(LitMnist(), "binarynet", input_shape=(1, 8, 8))
    with pytest.raises(ConfigError, match="module: LitMnist is quantized already"):
        QuantModule.wrap(module, "binarynet", input_shape=(1, 8, 8))
    assert isinstance(module.qbench, WrappedModule)
    with pytest.raises(ConfigError, match="fit the wrapped LitMnist"):
        module.qbench.configure_optimizers()
