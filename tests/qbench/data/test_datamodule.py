"""Splits in a Lightning trainer."""

from __future__ import annotations

import pytorch_lightning as pl

from qbench.data.batches import Batches
from qbench.data.datamodule import TensorDataModule
from qbench.data.datasets import get_dataset
from qbench.nn.models.catalogue import get_model
from qbench.training.module import QuantModule


def test_lightning_announces_the_epoch(tmp_path: object) -> None:
    data = TensorDataModule(get_dataset("digits").load(0), 512, seed=3)
    seen: list[list[int]] = []

    class Watch(QuantModule):
        def training_step(self, batch, batch_idx):  # type: ignore[no-untyped-def]
            seen.append(batch[1][:20].tolist())
            return super().training_step(batch, batch_idx)

    module = Watch(get_model("digits-mlp").make({"hidden": 8}), "fp32")
    pl.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(module, data)
    expected = []
    for epoch in (0, 1):
        batches = Batches(data.splits.train, 512, 3)
        batches.set_epoch(epoch)
        expected += [labels[:20].tolist() for _, labels in batches]
    assert seen == expected
