"""QuantModule with a teacher: frozen, no part of the module, and refused by name where it is missing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from qbench.data.datamodule import TensorDataModule
from qbench.data.datasets import get_dataset
from qbench.data.splits import Splits
from qbench.errors import ConfigError
from qbench.schemes.catalogue import get_scheme
from qbench.training.fit import fit
from qbench.training.losses.distillation import Distillation
from qbench.training.module import QuantModule
from qbench.training.settings import TrainingSettings

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

LOSS = {"name": "distillation", "options": {"temperature": 2.0, "weight": 0.75}}


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 10)
    )


def student(teacher: nn.Module | None, kind: type[QuantModule] = QuantModule) -> QuantModule:
    return kind(network(1), get_scheme("fp32", loss=LOSS), input_shape=(1, 8, 8), teacher=teacher)


def some(count: int = 64) -> Splits:
    splits = get_dataset("digits").splits(0)
    return Splits(splits.train[:count], splits.validation[:count], splits.test[:count])


def test_the_loss_is_that_of_the_teachers_scores_in_evaluation() -> None:
    teacher = network(2).train()
    made = student(teacher).eval()
    images, labels = next(iter(some().train.batches()))
    with torch.no_grad():
        expected = Distillation(10, **LOSS["options"])(made.model(images), labels, teacher.eval()(images))
        assert torch.equal(made.loss(images, labels), expected)
    teacher.train()  # somebody else goes on with it
    assert torch.equal(made.loss(images, labels), expected)
    assert not teacher.training


def test_the_teacher_is_no_part_of_the_module() -> None:
    teacher = network(2)
    made, without = student(teacher), student(None)
    assert set(made.state_dict()) == set(without.state_dict())
    assert len(list(made.parameters())) == len(list(without.parameters()))
    own = {id(each) for each in teacher.parameters()}
    assert not own & {id(each) for group in made.make_optimizer().param_groups for each in group["params"]}
    made.train()
    assert not teacher.training


class Hooked(QuantModule):
    """Has a hook of Lightning's: only a Trainer calls it."""

    def on_train_start(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("kind", [QuantModule, Hooked])
def test_training_leaves_the_teacher_as_it_was(kind: type[QuantModule], tmp_path: Path) -> None:
    """In both loops, which give the student the same bits."""
    teacher = network(2)
    before = copy.deepcopy(teacher.state_dict())
    made = student(teacher, kind)
    torch.manual_seed(7)
    result = fit(made, some(), tmp_path, TrainingSettings(2, 32, seed=3))
    assert result.loop == ("short" if kind is QuantModule else "lightning")
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    plain = student(teacher)
    torch.manual_seed(7)
    other = fit(plain, some(), tmp_path / "other", TrainingSettings(2, 32, seed=3))
    assert all(torch.equal(result.state[key], other.state[key]) for key in result.state)
    assert result.used is not None
    assert result.used.loss == "distillation(temperature=2.0, weight=0.75)"


def test_a_lightning_checkpoint_has_no_teacher(tmp_path: Path) -> None:
    made = student(network(2))
    trainer = pl.Trainer(
        max_epochs=1, logger=False, accelerator="cpu", enable_progress_bar=False, default_root_dir=tmp_path
    )
    trainer.fit(made, TensorDataModule(some(), 32))
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    found = torch.load(tmp_path / "one.ckpt", weights_only=True)
    assert set(found["state_dict"]) == set(student(None).state_dict())
    again = QuantModule.load_from_checkpoint(tmp_path / "one.ckpt", model=network(3))
    assert torch.equal(again.model[1].weight, made.model[1].weight)
    images, _ = next(iter(some().train.batches()))
    assert torch.equal(again.eval()(images), made.eval()(images))  # evaluation needs no teacher


def test_a_missing_teacher_is_refused_by_name() -> None:
    made = student(None)
    images, labels = next(iter(some().train.batches()))
    with pytest.raises(
        ConfigError, match=r"teacher: the loss distillation\(.*\) compares with a teacher: give QuantModul"
    ):
        made.loss(images, labels)
    made.set_teacher(network(2))
    assert made.loss(images, labels).isfinite()


class OwnScores(QuantModule):
    def loss_of_scores(self, scores: Any, labels: Any) -> Any:
        return scores.mean()


class Calls(QuantModule):
    def loss(self, images: Any, labels: Any) -> Any:
        return self.loss_of_scores(self.scores(images), labels)


def test_overrides_that_would_leave_the_teacher_out_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"scheme_options.loss: OwnScores.loss_of_scores takes the place of the loss"):
        student(network(2), OwnScores)
    images, labels = next(iter(some().train.batches()))
    with pytest.raises(ConfigError, match="needs a teacher's scores: call batch_loss"):
        student(network(2), Calls).loss(images, labels)
