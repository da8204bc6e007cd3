"""Splits as a LightningDataModule."""

from __future__ import annotations

from collections.abc import Iterable

import pytorch_lightning as pl

from qbench.data.splits import Splits
from qbench.data.training_batches import Batch, TrainingBatches


class TensorDataModule(pl.LightningDataModule):
    """Splits for a `pl.Trainer`: training batches shuffled, validation and test batches in order.

    Args:
        splits: the data.
        batch_size: examples in a training batch; evaluation has batches of its own size.
        seed: of the order of training batches.
    """

    def __init__(self, splits: Splits, batch_size: int = 64, seed: int = 0) -> None:
        super().__init__()
        self.splits = splits
        self.batch_size = batch_size
        self.seed = seed

    def train_dataloader(self) -> TrainingBatches:
        """Return the training batches, in another order each epoch.

        Raises:
            ValueError: a trainer of several processes, each of which would see every batch.
        """
        if self.trainer is not None and self.trainer.world_size > 1:
            raise ValueError(
                f"TensorDataModule feeds one process, the trainer has {self.trainer.world_size}: "
                "wrap the examples in a torch DataLoader, to which Lightning adds a distributed sampler"
            )
        return self.splits.train.training_batches(self.batch_size, self.seed)

    def val_dataloader(self) -> Iterable[Batch]:
        """Return the validation batches, in the split's order."""
        return self.splits.validation.batches()

    def test_dataloader(self) -> Iterable[Batch]:
        """Return the test batches, in the split's order."""
        return self.splits.test.batches()

    predict_dataloader = test_dataloader
