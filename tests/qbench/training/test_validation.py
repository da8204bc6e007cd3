"""The loss and accuracy of validation and tests, in both loops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.classification import MulticlassAccuracy

from qbench.data.datasets import get_dataset
from qbench.nn.models.catalogue import get_model
from qbench.schemes.catalogue import get_scheme
from qbench.training.fit import fit
from qbench.training.mean_loss import MeanLoss
from qbench.training.module import QuantModule
from qbench.training.selection import Selection
from qbench.training.validation import scores_and_loss
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import ResolvedTrial, resolve

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

DATA = get_dataset("digits").load(0).train


def trial(kind: type[QuantModule], **fields: Any) -> ResolvedTrial:
    mlp = {"model": "digits-mlp", "model_options": {"hidden": 12, "layers": 1}, "epochs": 3}
    return replace(resolve(TrialConfig.from_mapping({"scheme": "binarynet", **mlp, **fields})), module=kind)


def trainer(**options: Any) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def small(kind: type[QuantModule] = QuantModule) -> QuantModule:
    return kind(get_model("digits-mlp").make({"hidden": 12, "layers": 1}), "binarynet")


def hinge_by_hand(module: QuantModule, images: Tensor, labels: Tensor) -> float:
    """The mean over all examples and classes of max(0, 1 - t·y)², in float64."""
    with torch.no_grad():
        scores = module.eval()(images).double()
    targets = 2.0 * nn.functional.one_hot(labels, 10).double() - 1
    return float((1 - targets * scores).clamp(min=0).square().mean())


def test_the_mean_loss_weighs_batches_by_their_sizes() -> None:
    metric = MeanLoss()
    metric.update(torch.tensor(1.0), 3)
    metric.update(torch.tensor(5.0), 1)
    assert metric.compute() == 2.0
    assert MeanLoss().state_dict() == {}


def test_validation_and_tests_log_the_loss_of_all_examples() -> None:
    module = small()
    loader = DataLoader(TensorDataset(DATA.images[:70], DATA.labels[:70]), batch_size=32)  # 32, 32, 6
    expected = hinge_by_hand(module, DATA.images[:70], DATA.labels[:70])
    (found,) = trainer().validate(module, loader, verbose=False)
    assert found["val/loss"] == pytest.approx(expected, rel=1e-6)
    (found,) = trainer().test(module, loader, verbose=False)
    assert found["test/loss"] == pytest.approx(expected, rel=1e-6)
    assert {"test/accuracy", "test/loss"} == found.keys()


class Hooked(QuantModule):
    def on_train_start(self) -> None: ...


class OwnLoss(QuantModule):
    """A loss with all that only training may do: it counts, logs and draws at random."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.right = MulticlassAccuracy(10, average="micro")

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        scores = self(images + 0.01 * torch.randn_like(images)) if self.training else self(images)
        self.right(scores.detach(), labels)
        self.log("train/right", self.right)
        self.log("images", len(labels), reduce_fx="sum")
        torch.rand(1)
        return nn.functional.cross_entropy(scores, labels)


class HookedOwnLoss(OwnLoss, Hooked): ...


class BothLosses(OwnLoss):
    def loss_of_scores(self, scores: Tensor, labels: Tensor) -> Tensor:
        return scores.new_tensor(0.5) + 0 * scores.mean()


@pytest.mark.parametrize("kinds", [(QuantModule, Hooked), (OwnLoss, HookedOwnLoss)])
def test_both_loops_log_the_same_losses_and_choose_the_same_epoch(kinds: Any, tmp_path: Path) -> None:
    found = []
    for kind in kinds:
        parts = trial(kind, select="val/loss")
        splits = parts.dataset.load(0)
        trained = fit(parts.build(), splits, tmp_path, parts.settings)
        found.append(trained)
        losses = [row["val/loss"] for row in trained.history]
        assert trained.epoch == 1 + losses.index(min(losses))
    first, second = found
    assert [row["val/loss"] for row in first.history] == [row["val/loss"] for row in second.history]
    assert all(torch.equal(first.state[key], second.state[key]) for key in first.state)
    assert {each.loop for each in found} == {"short", "lightning"}


def test_the_loss_of_a_trial_is_that_of_its_validation_examples(tmp_path: Path) -> None:
    parts = replace(trial(QuantModule, epochs=1), selection=Selection("val/loss", "min"))
    module, splits = parts.build(), parts.dataset.load(0)
    trained = fit(module, splits, tmp_path, parts.settings)
    expected = hinge_by_hand(module, splits.validation.images, splits.validation.labels)
    assert trained.history[0]["val/loss"] == pytest.approx(expected, rel=1e-6)


def test_a_loss_of_ones_own_is_that_of_validation_and_leaves_no_trace_there(tmp_path: Path) -> None:
    parts = trial(OwnLoss, epochs=1)
    module, splits = parts.build(), parts.dataset.load(0)
    trained = fit(module, splits, tmp_path, parts.settings)
    row = trained.history[0]
    with torch.no_grad():
        scores = module.eval()(splits.validation.images).double()
    expected = float(nn.functional.cross_entropy(scores, splits.validation.labels))
    assert row["val/loss"] == pytest.approx(expected, rel=1e-5)
    assert row["images"] == len(splits.train)  # not those of the validation as well
    (right,) = {round(row["train/right"] * len(splits.train), 3)}
    assert right == pytest.approx(round(right), abs=1e-2)  # a share of the training's images, not of more

    generator = torch.get_rng_state()
    scores_and_loss(module, DATA.images[:40], DATA.labels[:40])
    assert torch.equal(torch.get_rng_state(), generator)
    assert module.right.update_called is False


def test_loss_of_scores_beside_an_own_loss_is_that_of_evaluation() -> None:
    loader = DataLoader(TensorDataset(DATA.images[:40], DATA.labels[:40]), batch_size=40)
    assert trainer().validate(small(BothLosses), loader, verbose=False)[0]["val/loss"] == 0.5


def test_a_loss_that_needs_gradients_says_where_it_was_called() -> None:
    class Adversarial(QuantModule):
        def loss(self, images: Tensor, labels: Tensor) -> Tensor:
            images = images.clone().requires_grad_()
            (slope,) = torch.autograd.grad(super().loss(images, labels), images)
            return super().loss(images.detach() + 0.1 * slope.sign(), labels)

    loader = DataLoader(TensorDataset(DATA.images[:40], DATA.labels[:40]), batch_size=40)
    with pytest.raises(RuntimeError, match="does not require grad") as raised:
        trainer().validate(small(Adversarial), loader, verbose=False)
    assert "override loss_of_scores" in raised.value.__notes__[0]


def test_a_student_is_tested_without_its_teacher() -> None:
    scheme = get_scheme("fp32", loss={"name": "distillation", "options": {"teacher": "fp32"}})
    module = QuantModule(get_model("digits-mlp").make({"hidden": 12, "layers": 1}), scheme)
    loader = DataLoader(TensorDataset(DATA.images[:40], DATA.labels[:40]), batch_size=40)
    assert trainer().test(module, loader, verbose=False)[0].keys() == {"test/accuracy"}
    teacher = get_model("digits-mlp").make({"hidden": 12, "layers": 1})
    module.set_teacher(teacher)
    with torch.no_grad():
        t, y = (each.eval()(DATA.images[:40]).double().log_softmax(1) for each in (teacher, module))
    expected = float((t.exp() * (t - y)).sum(1).mean())
    assert trainer().test(module, loader, verbose=False)[0]["test/loss"] == pytest.approx(expected, rel=1e-4)
