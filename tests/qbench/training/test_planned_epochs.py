"""The epochs that a Trainer will train, by which learning rates decay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from qbench.data.datasets import get_dataset
from qbench.errors import ConfigError
from qbench.nn.models.catalogue import get_model
from qbench.training.module import QuantModule

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

DATA = get_dataset("digits").load(0).train


class Watched(QuantModule):
    """Notes the epochs that it is told, and the rate of each epoch."""

    def __init__(self) -> None:
        network = get_model("digits-mlp").make({"hidden": 8, "layers": 1})
        super().__init__(network, "fp32", learning_rate=1e-2, learning_rate_end=1e-4)
        self.told: list[tuple[int, int]] = []
        self.rates: list[float] = []

    def start_epoch(self, epoch: int, epochs: int) -> None:
        self.told.append((epoch, epochs))
        self.rates.append(self.optimizers().param_groups[0]["lr"])
        super().start_epoch(epoch, epochs)


def fitted(data: Any = None, **limits: Any) -> Watched:
    module = Watched()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **limits,
    )
    loader = DataLoader(TensorDataset(DATA.images[:96], DATA.labels[:96]), batch_size=32) if data is None else data
    trainer.fit(module, loader)  # three batches
    return module


@pytest.mark.parametrize(
    ("limits", "epochs"),
    [
        ({"max_epochs": 4}, 4),
        ({"max_steps": 6}, 2),
        ({"max_steps": 7}, 3),  # two epochs and a step
        ({"max_steps": 7, "max_epochs": 2}, 2),
        ({"max_steps": 100, "max_epochs": 2}, 2),
        ({"max_steps": 4, "accumulate_grad_batches": 2}, 2),  # two steps of an epoch: of two batches, and of one
        ({"max_steps": 4, "limit_train_batches": 2}, 2),
        ({"max_epochs": 2, "max_time": {"hours": 1}}, 2),
    ],
)
def test_rates_decay_over_the_epochs_that_begin(limits: dict[str, Any], epochs: int) -> None:
    module = fitted(**limits)
    assert module.told == [(epoch, epochs) for epoch in range(epochs)]
    assert module.rates == pytest.approx([1e-2 * 100 ** (-epoch / epochs) for epoch in range(epochs)])


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter([(DATA.images[:8], DATA.labels[:8])] * 3)


def test_what_has_no_end_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"max_epochs: .*no bound on epochs or steps: give it max_epochs or max_st"):
        fitted(max_epochs=-1)
    with pytest.raises(ConfigError, match=r"beside max_time"):
        fitted(max_time={"hours": 1})
    stream = DataLoader(Stream(), batch_size=None)
    with pytest.raises(ConfigError, match="loader has no length: give the Trainer max_epochs beside max_steps"):
        fitted(stream, max_steps=5)
    assert fitted(stream, max_steps=5, max_epochs=2).told == [(0, 2), (1, 2)]


def test_names_of_rates_are_those_of_the_groups() -> None:
    seen: dict[str, Tensor] = {}

    class Logger(pl.loggers.logger.DummyLogger):
        def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
            seen.update(metrics)

    network = get_model("digits-mlp").make({"hidden": 8, "layers": 1})
    module = QuantModule(network, "binarynet", learning_rate=0.5)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=1,
        logger=Logger(),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[pl.callbacks.LearningRateMonitor()],
    )
    trainer.fit(module, DataLoader(TensorDataset(DATA.images[:96], DATA.labels[:96]), batch_size=32))
    # Glorot's scales sqrt((fan_in + fan_out) / 1.5) of 64 x 8 and of 8 x 10, and the BatchNorms.
    scales = {f"lr-Adam/weights x{(fans / 1.5) ** 0.5:.4g}": (fans / 1.5) ** 0.5 for fans in (72, 18)}
    expected = {name: 0.5 * scale for name, scale in (scales | {"lr-Adam/parameters": 1.0}).items()}
    found = {name: float(value) for name, value in seen.items() if name.startswith("lr-")}
    assert found == pytest.approx(expected)


def test_scales_that_differ_in_the_fifth_digit_have_names_of_their_own() -> None:
    network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 100_000), torch.nn.Linear(100_000, 60), torch.nn.Linear(60, 10)
    )
    names = [group["name"] for group in QuantModule(network, "binaryconnect").parameter_groups()]
    assert len(names) == len(set(names))
