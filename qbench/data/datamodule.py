"""Splits as a LightningDataModule."""

from __future__ import annotations

import pytorch_lightning as pl

from qbench.data.batches import EVALUATION_BATCH, Batches
from qbench.data.splits import Splits


class TensorDataModule(pl.LightningDataModule):
    """Serves `Splits` to a Trainer: shuffled training batches, validation and test in order.

    Args:
        splits: the data.
        batch_size: of training; evaluation takes batches of EVALUATION_BATCH.
        seed: of the order of training batches.
    """

    def __init__(self, splits: Splits, batch_size: int = 64, seed: int = 0) -> None:
        super().__init__()
        self.splits = splits
        self.batch_size = batch_size
        self.seed = seed

    def train_dataloader(self) -> Batches:
        if self.trainer is not None and self.trainer.world_size > 1:
            raise ValueError(
                f"TensorDataModule feeds one process, the trainer has {self.trainer.world_size}: "
                "wrap the examples in a torch DataLoader, to which Lightning adds a distributed sampler"
            )
        return Batches(self.splits.train, self.batch_size, self.seed)

    def val_dataloader(self) -> Batches:
        return Batches(self.splits.validation, EVALUATION_BATCH)

    def test_dataloader(self) -> Batches:
        return Batches(self.splits.test, EVALUATION_BATCH)

    predict_dataloader = test_dataloader
