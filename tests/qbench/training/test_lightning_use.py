"""QuantModule as any LightningModule: predictions, checks in evaluation, its own forward, copies, compiled."""

from __future__ import annotations

import copy
import io
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from quiet_trainer import quiet_trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from qbench.data.datasets import get_dataset
from qbench.data.folder import DataError
from qbench.errors import ConfigError, TrainingError
from qbench.nn.models.catalogue import get_model
from qbench.ptq.calibration import calibrate
from qbench.schemes.catalogue import get_scheme
from qbench.training.fit import fit
from qbench.training.module import QuantModule
from qbench.trial.check import check
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import ResolvedTrial, resolve

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

DATA = get_dataset("digits").load(0).train
IMAGES, LABELS = DATA.images[:64], DATA.labels[:64]


def loader() -> DataLoader:
    return DataLoader(TensorDataset(IMAGES, LABELS), batch_size=32)


def mlp() -> nn.Module:
    torch.manual_seed(0)
    return get_model("digits-mlp").make({"hidden": 16, "layers": 1})


def small(scheme: str = "binarynet", kind: type[QuantModule] = QuantModule) -> QuantModule:
    return kind(mlp(), scheme, input_shape=(1, 8, 8))


class Dicts(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": IMAGES[index]}


@pytest.mark.parametrize("kept", ["images", "tuples of one", "tuples of two", "lists"])
def test_predictions_of_batches_with_and_without_labels(kept: str) -> None:
    data: Any = {
        "images": IMAGES,
        "tuples of one": TensorDataset(IMAGES),
        "tuples of two": TensorDataset(IMAGES, LABELS),
        "lists": [[image] for image in IMAGES],
    }[kept]
    module = small()
    with torch.no_grad():
        expected = module.eval().model(IMAGES).argmax(1)
    found = quiet_trainer().predict(module, DataLoader(data, batch_size=24))
    assert torch.equal(torch.cat(found), expected)


def test_a_batch_whose_images_nothing_names_is_refused() -> None:
    with pytest.raises(ConfigError, match="the loader gives a dict: override predict_step"):
        quiet_trainer().predict(small(), DataLoader(Dicts(), batch_size=2))


@pytest.mark.parametrize("wrong", [10, -1, -100])
def test_a_label_that_is_no_class_is_refused_in_every_step(wrong: int) -> None:
    labels = LABELS.clone()
    labels[40] = wrong  # cross_entropy would leave -100 out of its mean
    data = DataLoader(TensorDataset(IMAGES, labels), batch_size=32)
    message = rf"a batch: label {wrong}, expected 0 to 9 for 10 classes"
    for step in ("fit", "validate", "test"):
        with pytest.raises(DataError, match=message):
            getattr(quiet_trainer(), step)(small("fp32"), data)


def test_a_batch_without_names_for_its_parts_is_refused_in_training() -> None:
    with pytest.raises(
        ConfigError, match=r"batches \(images, labels\); the loader gives a dict: override training_step"
    ):
        quiet_trainer().fit(small(), DataLoader(Dicts(), batch_size=32))


def test_a_network_alone_is_not_wrapped() -> None:
    with pytest.raises(ConfigError, match=r"module: expected a LightningModule.*got a Sequential; QuantModule\("):
        QuantModule.wrap(mlp(), "binarynet")


def test_a_quantized_network_is_not_evaluated_before_it_is_calibrated() -> None:
    module = small("int8-minmax")
    quiet_trainer().validate(module, loader(), verbose=False)  # the float network, as during training
    module.quantize()
    refused = pytest.raises(TrainingError, match=r"fc1.weight_quantizer \(Uniform\) waits for calibration")
    for evaluate in (
        lambda: module.eval()(IMAGES),
        lambda: quiet_trainer().validate(module, loader(), verbose=False),
        lambda: quiet_trainer().test(module, loader(), verbose=False),
        lambda: quiet_trainer().predict(module, loader()),
    ):
        with refused:
            evaluate()
    calibrate(module, IMAGES)  # runs the module itself
    quiet_trainer().test(module, loader(), verbose=False)


class OwnForwardUncalled(QuantModule):
    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def test_nor_is_one_with_a_forward_of_its_own() -> None:
    module = small("int8-minmax", OwnForwardUncalled)
    module.quantize()
    with pytest.raises(TrainingError, match="waits for calibration"):
        quiet_trainer().test(module, loader(), verbose=False)


class Theirs(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()
        self.started = 0

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.net(batch[0])

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.net(batch[0])

    def on_test_start(self) -> None:
        self.started += 1

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.net(batch[0])

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 1e-3)


def test_a_wrapped_network_is_not_evaluated_before_it_is_calibrated() -> None:
    module = QuantModule.wrap(Theirs(), "int8-minmax", network="net", input_shape=(1, 8, 8))
    quiet_trainer().fit(module, loader(), loader())
    module.qbench.quantize()
    for method in ("validate", "test", "predict"):
        with pytest.raises(TrainingError, match=r"fc1.weight_quantizer \(Uniform\) waits for calibration"):
            getattr(quiet_trainer(), method)(module, loader())
    calibrate(module.net, IMAGES)
    quiet_trainer().test(module, loader(), verbose=False)
    assert module.started == 1  # its own hook, when nothing was refused


def test_a_quantizer_that_needs_calibration_does_not_train() -> None:
    scheme = get_scheme("binarynet", weights="int8")
    with pytest.raises(ConfigError, match=r"scheme_options.weights: fc1: Uniform needs calibration, which only"):
        QuantModule(mlp(), scheme)
    with pytest.raises(ConfigError, match="fc1: Uniform needs calibration"):
        QuantModule.wrap(Theirs(), scheme, network="net")


class Doubled(QuantModule):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * self.model(x) - 1


class Centred(QuantModule):
    """Adds nothing in evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 0.1 if self.training else x)


def test_a_forward_of_ones_own_counts_in_every_step() -> None:
    module = small("fp32", Doubled)
    with torch.no_grad():
        scores = 2 * module.eval().model(IMAGES).double() - 1
    targets = 2.0 * nn.functional.one_hot(LABELS, 10).double() - 1
    expected = float((1 - targets * scores).clamp(min=0).square().mean())
    assert float(module.loss(IMAGES, LABELS)) == pytest.approx(expected, rel=1e-6)
    for method, prefix in (("validate", "val"), ("test", "test")):
        (found,) = getattr(quiet_trainer(), method)(module, loader(), verbose=False)
        assert found[f"{prefix}/loss"] == pytest.approx(expected, rel=1e-6)
        assert found[f"{prefix}/accuracy"] == pytest.approx(float((scores.argmax(1) == LABELS).double().mean()))

    class Reversed(QuantModule):
        def forward(self, x: Tensor) -> Tensor:
            return -self.model(x)

    module = small("fp32", Reversed)
    with torch.no_grad():
        worst = module.eval().model(IMAGES).argmin(1)
    assert torch.equal(torch.cat(quiet_trainer().predict(module, loader())), worst)


def trial(kind: type[QuantModule], scheme: str = "binarynet") -> ResolvedTrial:
    fields = {"scheme": scheme, "model": "digits-mlp", "model_options": {"hidden": 12, "layers": 1}, "epochs": 1}
    return replace(resolve(TrialConfig.from_mapping(fields)), module=kind)


@pytest.mark.parametrize("scheme", ["binarynet", "int8-minmax"])
def test_a_trial_refuses_a_forward_that_is_not_its_networks(scheme: str, tmp_path: Path) -> None:
    parts = trial(Doubled, scheme)
    with pytest.raises(ConfigError, match=r"module: Doubled.forward gives other scores .*put what"):
        check(parts)
    with pytest.raises(ConfigError, match=r"Doubled.forward gives other scores"):
        fit(parts.build(), parts.dataset.load(0), tmp_path, parts.settings)
    check(trial(Centred, scheme))
    parts = trial(Centred, scheme)
    assert fit(parts.build(), parts.dataset.load(0), tmp_path, parts.settings).loop == "lightning"


@pytest.mark.parametrize("scheme", ["binarynet-stochastic", "int8-lsq", "int8-minmax"])
def test_copies_and_pickles_before_and_after_a_training(scheme: str) -> None:
    module = small(scheme)
    for _ in range(2):
        for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):  # noqa: S301
            assert other.state_dict().keys() == module.state_dict().keys()
            assert torch.equal(other.eval()(IMAGES), module.eval()(IMAGES))
            quiet_trainer(limit_train_batches=1).fit(other.train(), loader())
            assert not torch.equal(other.model.fc1.weight, module.model.fc1.weight)  # its own weights were trained
            saved = io.BytesIO()
            torch.save(other.hparams, saved)
            assert other.hparams == module.hparams
        quiet_trainer().fit(module.train(), loader())
        module.trainer = None


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "whole"), [("binarynet", True), ("int8-lsq", False)])
def test_compiled_training_and_evaluation_are_eager_ones_within_rounding(
    scheme: str, whole: bool, tmp_path: Path
) -> None:
    torch.compiler.reset()
    found = []
    for compiled in (False, True):
        # By SGD: Adam divides gradients that are all rounding, where the true ones are 0, by themselves.
        module: Any = QuantModule(mlp(), get_scheme(scheme, optimizer="sgd"), input_shape=(1, 8, 8))
        fitted = module
        if compiled and whole:
            fitted = torch.compile(module)
        elif compiled:
            module.model = torch.compile(module.model)
        fit_ = quiet_trainer()
        fit_.fit(fitted, loader(), loader())
        metrics = {name: float(value) for name, value in fit_.callback_metrics.items()}
        metrics |= quiet_trainer().test(fitted, loader(), verbose=False)[0]
        path = tmp_path / "x.ckpt"
        fit_.save_checkpoint(path)
        loaded = QuantModule.load_from_checkpoint(path, model=mlp())
        with torch.no_grad():
            torch.testing.assert_close(loaded.eval()(IMAGES), module.eval()(IMAGES))
        fresh = QuantModule(mlp(), module.scheme, input_shape=(1, 8, 8))
        fresh.load_state_dict(fitted.state_dict())
        found.append((metrics, {name: each.detach() for name, each in fresh.named_parameters()}))
    (eager, weights), (compiled_metrics, compiled_weights) = found
    assert compiled_metrics == pytest.approx(eager, rel=1e-4)
    for name, weight in weights.items():
        torch.testing.assert_close(compiled_weights[name], weight, atol=1e-4, rtol=1e-4)
    assert torch._dynamo.utils.counters["frames"]["ok"] > 0  # something was compiled
