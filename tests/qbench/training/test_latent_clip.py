"""The clip of latent weights after every optimizer step, whoever takes it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch import nn
from torch.optim import SGD, Adam, Optimizer
from torch.utils.data import DataLoader, TensorDataset

from qbench.nn.models.catalogue import get_model
from qbench.nn.quant_layer import quant_layers
from qbench.training.latent_clip import clip_after_steps, optimizers_in
from qbench.training.module import QuantModule

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def trainer(folder: Path, **options: Any) -> pl.Trainer:
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return pl.Trainer(
        **{"accelerator": "cpu", "devices": 1, "max_epochs": 1, "default_root_dir": folder} | quiet | options
    )


def loader() -> DataLoader:
    images = torch.randn(96, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(images, torch.arange(96) % 10), batch_size=16)


def mlp() -> nn.Module:
    return get_model("digits-mlp").make({"hidden": 16, "layers": 1})


def largest(module: QuantModule) -> float:
    return max(float(layer.weight.detach().abs().max()) for _, layer in quant_layers(module.model))


class Manual(QuantModule):
    """Optimizes by hand, with a rate that leaves [-1, 1] at the first step, and looks right after each step."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.automatic_optimization = False
        self.seen: list[float] = []

    def configure_optimizers(self) -> Any:
        return SGD(self.parameters(), lr=500.0)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(self.loss(*batch))
        optimizer.step()
        self.seen.append(largest(self))


def test_manual_optimization_clips(tmp_path: Path) -> None:
    module = Manual(mlp(), "binarynet")
    trainer(tmp_path).fit(module, loader())
    assert module.seen == [1.0] * 6


def test_a_step_of_ones_own_clips(tmp_path: Path) -> None:
    """`optimizer_step` and `configure_optimizers` overridden, without a call of QuantModule's."""

    class Warm(QuantModule):
        def configure_optimizers(self) -> Any:
            return {"optimizer": Adam(self.parameters(), lr=3.0)}

        def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
            optimizer.step(closure=optimizer_closure)

    module = Warm(mlp(), "binarynet")
    trainer(tmp_path).fit(module, loader())
    assert largest(module) == 1.0


def test_accumulated_gradients_are_clipped_at_the_step_alone(tmp_path: Path) -> None:
    class Counting(QuantModule):
        clips = 0

        def clip_latents(self) -> None:
            self.clips += 1
            super().clip_latents()

    module = Counting(mlp(), "binarynet")
    trainer(tmp_path, accumulate_grad_batches=3).fit(module, loader())
    assert module.clips == 2


def test_a_copy_clips_its_own_weights(tmp_path: Path) -> None:
    module = QuantModule(mlp(), "binarynet", learning_rate=100.0, learning_rate_end=100.0)
    twin = copy.deepcopy(module)
    before = copy.deepcopy(module.model.state_dict())
    trainer(tmp_path).fit(twin, loader())
    assert largest(twin) == 1.0
    assert all(torch.equal(before[key], value) for key, value in module.model.state_dict().items() if "weight" in key)


def test_every_form_in_which_optimizers_are_returned() -> None:
    first, second = (SGD([nn.Parameter(torch.zeros(1))], lr=0.1) for _ in range(2))

    class Outer(Optimizer):
        def __init__(self, base: Optimizer) -> None:
            super().__init__(base.param_groups, {})
            self.base = base

    outer = Outer(second)
    assert optimizers_in(None) == []
    assert optimizers_in(first) == [first]
    assert optimizers_in({"optimizer": first, "lr_scheduler": {"monitor": "loss"}}) == [first]
    assert optimizers_in(([first, second], [])) == [first, second]
    assert optimizers_in(({"optimizer": first, "frequency": 2}, {"optimizer": first})) == [first]
    assert optimizers_in([outer]) == [outer, second]


def test_any_module_can_be_clipped() -> None:
    class Theirs(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(3))

        def configure_optimizers(self) -> Any:
            return [SGD(self.parameters(), lr=1.0)]

    module, clipped = Theirs(), []
    clip_after_steps(module, lambda: clipped.append(module.weight.tolist()))
    (optimizer,) = module.configure_optimizers()
    module.weight.grad = torch.full((3,), -2.0)
    optimizer.step()
    assert clipped == [[2.0, 2.0, 2.0]]


@pytest.mark.parametrize(
    "scheme", ["binarynet", "binarynet-stochastic", "int8-qat", "int8-lsq", "bitwise", "ternary-binary"]
)
def test_an_average_of_the_weights(scheme: str, tmp_path: Path) -> None:
    """Lightning's moving average ends with `d·average + (1 - d)·weight` of the weights after each step, clipped."""
    seen: list[dict[str, torch.Tensor]] = []

    class Noting(QuantModule):
        def on_train_batch_end(self, *_: Any) -> None:
            seen.append({name: each.detach().clone() for name, each in self.named_parameters()})

    torch.manual_seed(0)
    module = Noting(mlp(), scheme)
    trainer(tmp_path, callbacks=[EMAWeightAveraging(decay=0.5)]).fit(module, loader(), loader())
    expected = seen[0]  # the first update of an average takes the weights
    for weights in seen[1:]:
        expected = {name: 0.5 * expected[name] + 0.5 * value for name, value in weights.items()}
    for name, value in module.named_parameters():
        torch.testing.assert_close(value.detach(), expected[name], atol=1e-6, rtol=1e-5)
